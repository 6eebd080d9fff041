"""The code keeps to the rooms that docs/architecture.md tells of."""

import ast
import re

import pytest

from ..conftest import ROOT, tracked

PACKAGE = ROOT / "src/ablation"
HEAVY = {"tensorflow", "keras", "tensorflow_datasets", "matplotlib", "seaborn", "snakemake"}


def rooms():
    """Room: what it may import of the package, and which heavy libraries, by the page's table."""
    page, *_ = (ROOT / "docs/architecture.md").read_text().partition("\n## ")
    rows = re.findall(r"^\| `(\w+)` \|[^|]*\|([^|]*)\|([^|]*)\|$", page, re.M)
    return {
        room: (set(re.findall(r"`(\w+)`", own)), set(re.findall(r"\w+", heavy)))
        for room, own, heavy in rows
    }


def imports(room):
    """What the modules of a room import: rooms, and heavy libraries."""
    own, heavy = set(), set()
    for file in tracked(f"src/ablation/{room}/*.py", f"src/ablation/{room}.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                modules = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module == "ablation":
                modules = [f"ablation.{alias.name}" for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{file}: relative import"
                modules = [node.module]
            else:
                continue
            for module in modules:
                first, *rest = module.split(".")
                if first == "ablation" and rest:
                    own.add(rest[0])
                elif first in HEAVY:
                    heavy.add(first)
    return own - {room}, heavy


def test_the_page_tells_of_every_room():
    files = [file.relative_to(PACKAGE) for file in tracked("src/ablation/*.py")]
    there = {file.parts[0].removesuffix(".py") for file in files}
    assert set(rooms()) == there - {"__init__", "__main__"}


@pytest.mark.parametrize("room", sorted(rooms()))
def test_a_room_imports_what_the_page_says(room):
    own, heavy = imports(room)
    may, may_heavy = rooms()[room]
    assert own == may
    assert heavy == may_heavy


def test_the_order_of_the_rooms_is_that_of_the_data():
    order = list(rooms())
    for room, (may, _) in rooms().items():
        assert all(order.index(other) < order.index(room) for other in may)
