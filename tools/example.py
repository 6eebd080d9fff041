"""Make ``reports/example`` from the finished default study: report, tables and provenance.

``--notebooks`` runs a shrunken version of the study of the four notebooks on substitute data and
adds its report. ``--again`` renders the existing tables again, after a change of a template.
"""

import argparse
import json
import shutil
import sys
import tempfile
from pathlib import Path

from ablation.analysis.tables import TABLES
from ablation.errors import InputError
from ablation.report.render import render

STUDY, NOTEBOOKS = "quickstart", "notebooks"
ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "results" / STUDY
EXAMPLE = ROOT / "reports/example"
KEPT = {STUDY: EXAMPLE / "results", NOTEBOOKS: EXAMPLE / "notebooks-results"}
FILES = (
    "analysis.json",
    "models.json",
    "gallery.npz",
    "mistakes.npz",
    *(f"{name}.csv" for name in TABLES),
)
FOR_A_PAPER = (".pdf", ".tex")  # only in the page
SHRUNKEN = "shrunken: stand-in data, few epochs, no result about the methods"
README = """\
# An example: the report of the default study

`make` with the study `quickstart` ({runs} runs) made this at commit
{commits} on {machine} in {minutes:.0f} minutes of training.

- [quickstart.md](quickstart.md) reads here; [quickstart.html](quickstart.html) is the page to
  download and open, one file that loads nothing;
- [quickstart/](quickstart/): its figures and tables;
- [results/](results/): the tables that the analysis has left. Every number of the prose stands in
  one of them; [findings.csv](results/findings.csv) tells in which.
{notebooks}
`make example` makes this folder from the finished study, `make example ARGS=--again` renders its
tables once more.
"""
ON_NOTEBOOKS = """\
- [notebooks.md](notebooks.md): the report of the study `notebooks`, with its rubric. It is
  shrunken: a few pictures that stand in for the real data, narrow networks, few epochs and one
  seed. It shows what such a report looks like and says nothing about the methods.
  `make example ARGS=--notebooks` makes it.
"""


def main() -> None:
    """Make the example."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--again", action="store_true", help="render the existing tables")
    parser.add_argument(
        "--notebooks", action="store_true", help="run the shrunken notebooks, and render them only"
    )
    given = parser.parse_args()
    try:
        make_example(again=given.again, notebooks=given.notebooks)
    except InputError as error:
        sys.exit(f"error: {error}")


def make_example(*, again: bool, notebooks: bool) -> None:
    """Make the example.

    Raises:
        InputError: a table is missing, or the runs were made with uncommitted changes.
    """
    if notebooks and not again:
        run_notebooks()
    elif not again:
        take_tables()
    for study, tables in KEPT.items():
        if tables.exists() and (again or (study == NOTEBOOKS) == notebooks):
            render_example(study, tables, EXAMPLE)
    if KEPT[STUDY].exists():
        (EXAMPLE / "README.md").write_text(readme())


def render_example(study: str, tables: Path, folder: Path) -> None:
    """Render a report, without the section for papers; the shrunken one without page."""
    render(study, tables, folder)
    markdown = folder / f"{study}.md"
    text = markdown.read_text().partition("## For a paper")[0].rstrip() + "\n"
    markdown.write_text(text.replace(" · [For a paper](#paper)", ""))
    for file in (folder / study).iterdir():
        if file.suffix in FOR_A_PAPER:
            file.unlink()
    if study == NOTEBOOKS:
        (folder / f"{study}.html").unlink()


def take_tables() -> None:
    """Copy the tables of the finished study."""
    missing = [name for name in FILES if not (RESULTS / name).is_file()]
    if missing:
        raise InputError(f"{RESULTS / missing[0]} is missing: run the study with `make` first")
    commits = provenance(RESULTS)["git_commits"]
    if not commits or any(str(commit).endswith("-dirty") for commit in commits):
        raise InputError(
            f"{RESULTS}: the runs are of {commits or 'no commit'}; the example needs committed "
            "code: commit, delete results/runs and run the study again"
        )
    copy_tables(RESULTS, KEPT[STUDY])


def run_notebooks() -> None:
    """Run the shrunken study of the notebooks, as the tests do, and copy its tables."""
    sys.path.insert(0, str(ROOT))
    from tests.studies.shrunken import make_shrunk, write_stores  # noqa: PLC0415

    with tempfile.TemporaryDirectory() as place:
        stores = Path(place) / "stores"
        stores.mkdir()
        write_stores(stores)
        checkout = make_shrunk(Path(place) / "checkout", stores)
        file = checkout.folder / f"config/studies/{NOTEBOOKS}.yaml"
        study = json.loads(file.read_text())
        file.write_text(json.dumps(study | {"title": f"{study['title']} ({SHRUNKEN})"}))
        checkout.snakemake(NOTEBOOKS, "--until", "analyse", "gallery", "describe_models")
        copy_tables(checkout.folder / "results" / NOTEBOOKS, KEPT[NOTEBOOKS])


def copy_tables(results: Path, folder: Path) -> None:
    """Copy the inputs of a report."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name in FILES:
        shutil.copyfile(results / name, folder / name)


def readme() -> str:
    """Return the text of the README."""
    made = provenance(KEPT[STUDY])
    machine = ", ".join(map(str, [*made["processors"], *made["gpus"], *made["systems"]]))
    return README.format(
        runs=made["runs"],
        commits=" and ".join(f"`{commit[:12]}`" for commit in made["git_commits"]),
        machine=f"{machine} ({made['threads'][0]} threads a run)",
        minutes=made["train_seconds"] / 60,
        notebooks=ON_NOTEBOOKS if (EXAMPLE / f"{NOTEBOOKS}.md").exists() else "",
    )


def provenance(folder: Path) -> dict:
    """Return the provenance of a study's runs."""
    return json.loads((folder / "analysis.json").read_text())["provenance"]


if __name__ == "__main__":
    main()
