"""The table of `make bench`: what the medians and ratios of its rows are."""

import csv
import importlib.util
import sys
from pathlib import Path

import pytest

FILE = Path(__file__).parents[2] / "benchmarks/measure.py"


@pytest.fixture
def measure(monkeypatch):
    spec = importlib.util.spec_from_file_location("measure", FILE)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "measure", module)
    spec.loader.exec_module(module)
    return module


def test_a_ratio_above_one_is_in_favour_of_this_project(measure, tmp_path):
    faster = measure.Case("steps", "a", [30, 10, 20], [10, 10, 20], "images/s")
    shorter = measure.Case("run", "b", [1, 2, 2], [4, 4, 4], "s", less=True)
    text = measure.write_table([faster, shorter], tmp_path, "A machine")
    with (tmp_path / "bench.csv").open() as file:
        first, second = csv.DictReader(file)
    assert list(first)[:5] == ["part", "case", "ours", "peer", "ratio"]
    assert (first["ours"], first["peer"], first["ratio"]) == ("20", "10", "2")
    assert (first["low"], first["high"]) == ("1", "3")
    assert (second["ours"], second["peer"], second["ratio"]) == ("2", "4", "2")
    assert "| run | b | 2 s | 4 s | 2 | 2 to 4 |" in text == (tmp_path / "bench.md").read_text()


def test_sides_are_measured_in_turn(measure):
    order = []
    sides = [lambda: order.append("ours") or 1.0, lambda: order.append("peer") or 2.0]
    assert measure.in_turn(sides, 2) == [[1.0, 1.0], [2.0, 2.0]]
    assert order == ["ours", "peer", "ours", "peer"]
