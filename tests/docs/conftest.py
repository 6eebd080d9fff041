"""Worked examples of the documentation, followed to the letter in a copy of the checkout.

A page's fenced blocks are followed in their order: one with `title=FILE` is a file to write, a
`diff` is a change to make, an `sh` block is run. All other blocks are only to be read.
"""

import re
import subprocess

import pytest

from ..conftest import ROOT, copy_tracked

CHECKOUT = ("Snakefile", "workflow", "src", "profiles", "envs", "config")
BLOCK = re.compile(r"^```(\w+)(?: title=(\S+))?\n(.*?)^```$", re.M | re.S)


class WorkedExample:
    """What a page has been followed in.

    Attributes:
        folder: the copy of the checkout.
        output: what its commands printed, all together.
    """

    def __init__(self, folder):
        self.folder = folder
        self.output = ""

    def run(self, script, check=True):
        """Run a shell script in the copy, with its own code before what is installed."""
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", f'export PYTHONPATH="$PWD/src"\n{script}'],
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        self.output += done.stdout
        assert not check or done.returncode == 0, f"{script}\n{done.stdout}"
        return done.stdout

    def follow(self, page):
        """Write, change and run what a page says."""
        blocks = BLOCK.findall((ROOT / "docs" / page).read_text())
        assert blocks, f"{page} has no code blocks"
        for language, title, text in blocks:
            if title:
                file = self.folder / title
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(text)
            elif language == "diff":
                change = ["git", "apply", "--whitespace=nowarn", "-"]
                subprocess.run(change, cwd=self.folder, input=text, text=True, check=True)
            elif language == "sh":
                self.run(text)
        return self


@pytest.fixture
def example(tmp_path):
    """A copy of the checkout with no results, to follow a page in."""
    folder = tmp_path / "checkout"
    folder.mkdir()
    copy_tracked(folder, *CHECKOUT)
    return WorkedExample(folder)
