"""Claims in the report: their tables and sentences, on the page and in Markdown alike."""

import html
import json
import re
import shutil

import pandas as pd
import pytest
from markdown_it import MarkdownIt

from ablation.analysis.claims import CLAIM_COLUMNS, CONCLUSIONS, claim_status, part_status
from ablation.report.render import render

TEXT = "Shortcuts <script>alert(1)</script> *pay* | 50% & $x$ `always` [here](http://claim.example)"
SOURCE = 'He said <b>"it"</b> _once_'
NO_BREAK = "\N{NO-BREAK SPACE}"


def part(experiment, claim, number, **values):
    """A row of claims.csv."""
    row = {"experiment": experiment, "claim": claim, "part": number, "text": f"{claim} is so.",
           "source": "A paper", "stated_in": "residual", "dataset": "mnist5k",
           "measure": "test_accuracy", "arm": "plain20 · none", "reference": "resnet20 · none",
           "says": "worse", "verdict": "worse", "difference": -0.0234, "low": -0.03,
           "high": -0.0168, "seeds": 3, "part_status": "holds", "status": "holds"}  # fmt: skip
    return row | values


def revisited(claim, number, **values):
    """A row of a claim of residual in the experiment that revisits it."""
    return part("augmentation", claim, number, **values)


SMALL = "not by more than the margin"
ROWS = [
    part("residual", "pays", 1, text=TEXT, source=SOURCE),
    part("residual", "pays", 2, arm="a | b <i>", epoch=2, measure="val_accuracy"),
    part("residual", "early", 1, verdict="same", difference=-0.0012, low=-0.004, high=0.0016,
         part_status=SMALL, status=SMALL),
    part("residual", "against", 1, verdict="better", difference=0.0234, low=0.0168, high=0.03,
         part_status="contradicted", status="contradicted"),
    part("residual", "against", 2, status="contradicted"),
    part("residual", "late", 1, says="different", verdict="none", difference=None, low=None,
         high=None, seeds=0, part_status="open", status="open"),
    part("residual", "never", 1, verdict="open", part_status="open", status="open"),
    part("augmentation", "own", 1, stated_in="augmentation", says="same", verdict="same",
         difference=0.0, low=-0.001, high=0.001),
    revisited("pays", 1, text=TEXT, source=SOURCE, verdict="better", difference=0.0111, low=0.01,
              high=0.0122, part_status="contradicted", status="contradicted",
              status_there="holds", conclusion="does not survive"),
    revisited("early", 1, says="different", verdict="same", difference=0.0012, low=-0.0016,
              high=0.004, part_status=SMALL, status=SMALL, status_there=SMALL, conclusion=SMALL),
    revisited("against", 1, status_there="contradicted", conclusion="survives"),
    revisited("late", 1, verdict="open", low=None, high=None, seeds=2, part_status="open",
              status="open", status_there="open", conclusion="undecided"),
    {"experiment": "augmentation", "claim": "never", "text": "never is so.", "source": "A paper",
     "stated_in": "residual", "status": "not tested", "status_there": "open",
     "conclusion": "not tested here"},
]  # fmt: skip


def finding(kind, text, diagnosis, experiment):
    source = {"table": "diagnostics", "column": "count", "shown": "1",
              "where": {"experiment": experiment, "diagnosis": diagnosis}}  # fmt: skip
    return {"part": kind, "kind": kind, "text": text, "sources": [source]}


@pytest.fixture(scope="module")
def claimed(results, renew, tmp_path_factory):
    """The reports of the sample with claims: the page and the Markdown."""
    folder = tmp_path_factory.mktemp("claims")
    shutil.copytree(results, folder / "results")
    pd.DataFrame(ROWS, columns=list(CLAIM_COLUMNS)).astype(
        dict.fromkeys(("part", "epoch", "seeds"), "Int64")
    ).to_csv(folder / "results/claims.csv", index=False)
    file = folder / "results/analysis.json"
    analysis = json.loads(file.read_text())
    first, second = analysis["experiments"]
    first["findings"] += [finding("claims", "Of 4 claims 1 <holds>.", "claims, holds", "residual")]
    second["findings"] += [
        finding("claims", "Of 4 claims 2 hold.", "claims, holds", "augmentation"),
        finding("survives", "Of 4 claims 1 survives.", "revisited, survives", "augmentation"),
    ]
    summary = finding("answer", "It asks again: 1 survives.", "revisited, survives", "augmentation")
    analysis["summary"].append(summary)
    renew(folder / "results", **analysis)
    render("sample", folder / "results", folder / "reports")
    return folder / "reports"


@pytest.fixture(scope="module")
def page(claimed):
    return (claimed / "sample.html").read_text()


@pytest.fixture(scope="module")
def markdown(claimed):
    return (claimed / "sample.md").read_text()


def of_page(page, name):
    """Head and body of a table of the page, as text."""
    table = re.search(rf'<table id="{name}".*?</table>', page, re.S).group()
    rows = re.findall(r"<tr.*?</tr>", table, re.S)
    return [
        [html.unescape(cell) for cell in re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row)]
        for row in rows
    ]


def of_markdown(markdown, name):
    """Head and body of a table of the Markdown, as text."""
    start = markdown.index(f'<a id="{name}"></a>')
    rendered = MarkdownIt("gfm-like", {"linkify": False, "html": True}).render(markdown[start:])
    rows = re.findall(r"<tr>(.*?)</tr>", rendered[: rendered.index("</table>")], re.S)
    return [
        [html.unescape(cell) for cell in re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.S)]
        for row in rows
    ]


def test_a_row_for_each_comparison_that_tests_a_claim(page):
    head, *rows = of_page(page, "claims-residual")
    assert head[:4] == ["Claim", "What it says", "Made by", "Status"]
    told = [[cell.replace(NO_BREAK, " ") for cell in row] for row in rows]
    assert told == [
        ["pays", TEXT, SOURCE, "holds", "plain20 · none against resnet20 · none", "less accurate",
         "less accurate", "−2.34 (−3.00 to −1.68)", "3", "holds"],
        ["pays", "pays is so.", "A paper", "holds",
         "a | b <i> against resnet20 · none, validation accuracy after epoch 2", "less accurate",
         "less accurate", "−2.34 (−3.00 to −1.68)", "3", "holds"],
        ["early", "early is so.", "A paper", "not by more than the margin",
         "plain20 · none against resnet20 · none", "less accurate", "the same",
         "−0.12 (−0.40 to +0.16)", "3", "not by more than the margin"],
        ["against", "against is so.", "A paper", "contradicted",
         "plain20 · none against resnet20 · none", "less accurate", "more accurate",
         "+2.34 (+1.68 to +3.00)", "3", "contradicted"],
        ["against", "against is so.", "A paper", "contradicted",
         "plain20 · none against resnet20 · none", "less accurate", "less accurate",
         "−2.34 (−3.00 to −1.68)", "3", "holds"],
        ["late", "late is so.", "A paper", "open", "plain20 · none against resnet20 · none",
         "different", "no common finished seed", "–", "0", "open"],
        ["never", "never is so.", "A paper", "open", "plain20 · none against resnet20 · none",
         "less accurate", "open", "−2.34 (−3.00 to −1.68)", "3", "open"],
    ]  # fmt: skip


def test_a_comparison_of_fewer_than_three_seeds_has_no_interval_beside_a_claim(page):
    (late,) = [row for row in of_page(page, "claims-augmentation") if row[0] == "late"]
    assert late[6:] == ["open", "−2.34", "2", "open"]


def test_the_rows_are_as_the_analysis_makes_them():
    columns, of_claims = set(CLAIM_COLUMNS), {}
    for row in ROWS:
        of_claim = of_claims.setdefault((row["experiment"], row["claim"]), [])
        of_claim += [row["part_status"]] if "part" in row else []
    for row in ROWS:
        assert row.keys() <= columns
        parts = of_claims[row["experiment"], row["claim"]]
        assert row["status"] == claim_status(parts)
        if parts:
            assert row["part_status"] == part_status(row["says"], row["verdict"])
        if "conclusion" in row:
            assert row["conclusion"] == CONCLUSIONS[row["status"]]


def test_what_survives_of_a_revisited_experiment(page):
    head, *rows = of_page(page, "survival-augmentation")
    assert head[3:] == ["As measured in residual", "Here", "Conclusion"]
    small = "not by more than the margin"
    assert [[row[0], *row[3:]] for row in rows] == [
        ["pays", "holds", "contradicted", "does not survive"],
        ["early", small, small, small],
        ["against", "contradicted", "holds", "survives"],
        ["late", "open", "open", "undecided"],
        ["never", "open", "not tested", "not tested here"],
    ]
    assert 'id="survival-residual"' not in page
    # what is not tested has no row among what was compared
    assert [row[0] for row in of_page(page, "claims-augmentation")[1:]] == [
        "own", "pays", "early", "against", "late"]  # fmt: skip


@pytest.mark.parametrize("name", ["claims-residual", "claims-augmentation",
                                  "survival-augmentation"])  # fmt: skip
def test_the_markdown_says_the_same(page, markdown, name):
    assert of_markdown(markdown, name) == of_page(page, name)


def test_what_a_claim_says_is_text(page, markdown):
    rendered = MarkdownIt("gfm-like", {"linkify": False, "html": True}).render(markdown)
    for text in (page, rendered):
        assert "<script>alert" not in text
        assert '"http://claim.example"' not in text
        assert "<b>" not in text
        assert "<em>pay</em>" not in text
    assert "$x$" not in re.sub(r"```.*?```", "", markdown, flags=re.S)


def test_claims_stand_after_the_answer_with_their_sentences(page, markdown):
    section = page[page.index('id="verdict-experiment-augmentation"') :]
    order = [section.index(text) for text in (
        "shortcuts *help*", "augmentation--claims", "Of 4 claims 2 hold.",
        '<table id="claims-augmentation"', "augmentation--survives", "Of 4 claims 1 survives.",
        '<table id="survival-augmentation"', "augmentation--evidence",
    )]  # fmt: skip
    assert order == sorted(order)
    assert "#### Claims" in markdown
    assert "#### What survives" in markdown
    numbers = re.findall(r'--caption">Table (\d+)\.', page)
    assert numbers == [str(i + 1) for i in range(len(numbers))]
    assert page.index("It asks again: 1 survives.") < page.index('id="verdict-experiment-residual"')


def test_sentences_link_to_the_tables_of_their_claims(page):
    def links(text):
        rest = page[page.index(text) + len(text) :]
        return re.findall(r'<a href="#([^"]*)"', re.split("</li>|</p>", rest)[0])

    assert links("Of 4 claims 1 &lt;holds&gt;.") == ["claims-residual"]
    assert links("Of 4 claims 2 hold.") == ["claims-augmentation"]
    assert links("Of 4 claims 1 survives.") == ["survival-augmentation"]
    assert links("It asks again: 1 survives.") == ["survival-augmentation"]


def test_notes_say_what_the_statuses_mean_and_what_test_validation_does(page):
    def notes(name):
        rest = page[page.index(f'<table id="{name}"') :]
        return rest[rest.index("</table>") : rest.index("Download") if "claims" in name else 2000]

    own, again = notes("claims-residual"), notes("claims-augmentation")
    for text in (own, again, notes("survival-augmentation")):
        assert "does not refute it" in text
    for text in (own, again):
        assert "not by more than the margin: the arms of a comparison are the same;" in text
    assert "not by more than the margin: the arms are the same here;" in notes(
        "survival-augmentation"
    )
    assert "†" not in own
    assert "† The test split was used for validation" in again
    assert of_page(page, "claims-augmentation")[0][7] == "Difference, points (interval) †"


def test_the_rows_of_the_claims_can_be_downloaded(claimed):
    rows = pd.read_csv(claimed / "sample/claims-residual.csv")
    names = ["pays", "pays", "early", "against", "against", "late", "never"]
    assert rows["claim"].tolist() == names
    assert rows["text"].iloc[0] == TEXT


def test_ids_stay_unique_and_links_arrive(page, markdown):
    ids = re.findall(r' id="([^"]*)"', page)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'<a href="#([^"]*)"', page)) <= set(ids)
    anchors = re.findall(r'<a id="([^"]*)"></a>', markdown)
    assert set(re.findall(r"(?<!\\)\]\(#([^)]*)\)", markdown)) <= set(anchors)


def test_a_study_without_claims_has_no_table_of_them(reports):
    text = (reports / "sample.html").read_text()
    assert 'id="claims-' not in text
    assert "What survives" not in text
