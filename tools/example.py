"""Makes ``reports/example`` from the finished default study: its report, its tables, where from.

With ``--again`` the tables that lie there already are rendered once more, after a template or a
figure has changed.
"""

import argparse
import json
import shutil
import sys
from pathlib import Path

from ablation.analysis.tables import TABLES
from ablation.errors import InputError
from ablation.report.render import render

STUDY = "quickstart"
ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "results" / STUDY
EXAMPLE = ROOT / "reports/example"
KEPT = EXAMPLE / "results"
FILES = ("analysis.json", "models.json", "gallery.npz", *(f"{name}.csv" for name in TABLES))
README = """\
# An example: the report of the default study

`make` with the study `quickstart` ({runs} runs) made this at commit
{commits} on {machine} in {minutes:.0f} minutes of training.

- [quickstart.md](quickstart.md) reads here; [quickstart.html](quickstart.html) is the page to
  download and open, one file that loads nothing;
- [quickstart/](quickstart/): its figures, the rows behind them, and the ablation tables as LaTeX
  and Markdown;
- [results/](results/): the tables that the analysis has left. Every number of the prose stands in
  one of them; [findings.csv](results/findings.csv) tells in which.

`make example` makes this folder from the finished study, `make example ARGS=--again` renders its
tables once more.
"""


def main() -> None:
    """Make the example, or say what is missing."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--again", action="store_true", help="render the tables that lie there")
    try:
        make_example(again=parser.parse_args().again)
    except InputError as error:
        sys.exit(f"error: {error}")


def make_example(*, again: bool) -> None:
    """Make the example.

    Raises:
        InputError: a table is missing, or the study was made with changes that are in no commit.
    """
    if not again:
        take_tables()
    render(STUDY, KEPT, EXAMPLE)
    (EXAMPLE / "README.md").write_text(readme())


def take_tables() -> None:
    """Copy the tables of the finished study."""
    missing = [name for name in FILES if not (RESULTS / name).is_file()]
    if missing:
        raise InputError(f"{RESULTS / missing[0]} is not there: run the study with `make` first")
    commits = provenance(RESULTS)["git_commits"]
    if not commits or any(str(commit).endswith("-dirty") for commit in commits):
        raise InputError(
            f"{RESULTS}: the runs are of {commits or 'no commit'}; an example has to be of a "
            "commit: commit, delete results/runs and run the study again"
        )
    shutil.rmtree(KEPT, ignore_errors=True)
    KEPT.mkdir(parents=True)
    for name in FILES:
        shutil.copyfile(RESULTS / name, KEPT / name)


def readme() -> str:
    """Say what the example is and where it was made."""
    made = provenance(KEPT)
    machine = ", ".join(map(str, [*made["processors"], *made["gpus"], *made["systems"]]))
    return README.format(
        runs=made["runs"],
        commits=" and ".join(f"`{commit[:12]}`" for commit in made["git_commits"]),
        machine=f"{machine} ({made['threads'][0]} threads a run)",
        minutes=made["train_seconds"] / 60,
    )


def provenance(folder: Path) -> dict:
    """Return where and with what a study's runs were made."""
    return json.loads((folder / "analysis.json").read_text())["provenance"]


if __name__ == "__main__":
    main()
