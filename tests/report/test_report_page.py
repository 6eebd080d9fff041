import base64
import csv
import io
import re
import urllib.parse
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

VOID = {"meta", "link", "img", "br", "hr", "input"}
SECTIONS = [
    "verdict", "tables", "curves", "gallery", "classes", "calibration", "cost", "methods", "runs",
    "provenance",
]  # fmt: skip
NO_BREAK = "\N{NO-BREAK SPACE}"


class Page(HTMLParser):
    """Elements with their attributes, and whether every tag is closed in its order."""

    def __init__(self, text):
        super().__init__()
        self.open, self.elements, self.problems, self.texts = [], [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        names = [name for name, _ in attrs]
        if len(set(names)) != len(names):
            self.problems.append(f"<{tag}> has an attribute twice")
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.problems.append(f"</{tag}> at {self.getpos()}")

    def handle_data(self, data):
        self.texts.append((self.open[-1] if self.open else "", data))


@pytest.fixture(scope="module")
def parsed(page):
    return Page(page)


@pytest.fixture(scope="module")
def tables(results):
    text = dict.fromkeys(("id", "model", "augmentation", "class", "reason", "log"), str)
    return {
        file.stem: pd.read_csv(file, dtype=text, na_filter=True, keep_default_na=False,
                               na_values=[""])
        for file in results.glob("*.csv")
    }  # fmt: skip


def rows_of(page, table):
    """The cells of a table's body as text."""
    body = re.search(rf'<table id="{table}".*?<tbody>(.*?)</tbody>', page, re.S).group(1)
    cells = r"<t[hd][^>]*>(?:<code>)?(.*?)(?:</code>)?</t[hd]>"
    return [
        [cell.replace(NO_BREAK, " ") for cell in re.findall(cells, row)]
        for row in re.findall(r"<tr.*?</tr>", body, re.S)
    ]


def heads_of(page, table):
    head = re.search(rf'<table id="{table}".*?<thead>(.*?)</thead>', page, re.S).group(1)
    return re.findall(r"<th[^>]*>(.*?)</th>", head)


def section_of(page, name):
    """The part of the page under a heading of the second level."""
    start = page.index(f'<h2 id="{name}"')
    end = page.find("<h2 id=", start + 1)
    return page[start : end if end > 0 else page.index("</main>")]


def mean_and_sd(cell, name):
    mean, sd = cell[name], cell[f"{name}_sd"]
    if np.isnan(mean):
        return "–"
    return f"{100 * mean:.2f}" + ("" if np.isnan(sd) else f" ± {100 * sd:.2f}")


def signed(difference):
    text = f"{100 * difference:+.2f}"
    return "0.00" if float(text) == 0 else text.replace("-", "−")


@pytest.mark.parametrize("which", ["page", "partial_page"])
def test_the_page_is_well_formed(request, which):
    parsed = Page(request.getfixturevalue(which))
    assert parsed.problems == []
    assert parsed.open == []


def test_nothing_is_loaded_from_outside(parsed, page):
    assert not [tag for tag, _ in parsed.elements if tag in ("iframe", "object", "embed")]
    for tag, attributes in parsed.elements:
        assert not (tag == "script" and attributes)
        for name, value in attributes.items():
            assert not name.startswith("on"), (tag, name)
            if name in ("src", "href", "srcset", "action", "data", "poster"):
                assert value.startswith(("data:", "#")), (tag, name, value[:80])
    styles = "".join(text for tag, text in parsed.texts if tag == "style")
    assert "prefers-color-scheme: dark" in styles
    assert "@import" not in styles
    assert "url(" not in styles
    assert "javascript:" not in page


@pytest.mark.parametrize("which", ["page", "partial_page"])
def test_ids_are_unique_and_every_link_arrives(request, which):
    parsed = Page(request.getfixturevalue(which))
    ids = [attributes["id"] for _, attributes in parsed.elements if "id" in attributes]
    assert len(set(ids)) == len(ids)
    links = [a["href"] for tag, a in parsed.elements if tag == "a"]
    assert {link[1:] for link in links if link.startswith("#")} <= set(ids)
    for key in ("aria-labelledby", "aria-describedby"):
        assert {a[key] for _, a in parsed.elements if key in a} <= set(ids)


def test_every_section_figure_and_table_has_a_permalink_with_a_name(parsed):
    links = {
        a["href"][1:]: a["aria-label"]
        for tag, a in parsed.elements
        if a.get("class") == "permalink"
    }
    wanted = {a["id"] for tag, a in parsed.elements if tag in ("figure", "h2", "h3", "h4")}
    wanted |= {
        a["id"] for tag, a in parsed.elements if tag == "table" and "--" not in a["id"]
    }  # the others stand in folds of figures and models
    assert wanted == links.keys()
    assert links["curves-residual-mnist5k"] == "Link to Figure 8"
    assert links["verdict"] == "Link to Verdict"


def test_the_navigation_names_every_section_and_part(parsed, page):
    nav = Page(page[page.index("<nav") : page.index("</nav>") + len("</nav>")])
    links = {a["href"][1:] for tag, a in nav.elements if tag == "a"}
    assert links == {a["id"] for tag, a in parsed.elements if tag in ("h2", "h3")}


def test_the_sections_stand_in_their_order(page):
    assert re.findall(r'<h2 id="([^"]*)"', page) == SECTIONS


def test_findings_stand_in_the_order_answer_evidence_problem_open(page):
    section = section_of(page, "verdict")
    section = section[section.index('id="verdict-experiment-residual"') :]
    assert section.index("shortcuts *help*") < section.index("residual--evidence")
    parts = [section.index(f"residual--{name}") for name in ("evidence", "problem", "open")]
    assert parts == sorted(parts)
    assert page.index("Shortcuts pay;") < page.index('id="verdict-experiment-residual"')


def test_findings_link_to_the_tables_of_their_sources(page):
    def links(text):
        item = page[page.index(text) : page.index("<", page.index(text) + len(text) + 200)]
        return re.findall(r'<a href="#([^"]*)"', item.split("</li>")[0].split("</p>")[0])

    assert links("Measured on 36 runs.") == ["run-table"]
    assert links("plain20 reaches 94.10") == ["ablation-residual-mnist5k",
                                              "comparisons-residual-mnist5k"]  # fmt: skip
    assert links("In residual, shortcuts") == ["comparisons-residual-all"]
    assert links("In augmentation, shortcuts") == ["comparisons-augmentation-all"]
    assert links("The median spread is") == ["accuracies-residual-mnist5k"]
    assert links("The gap is 2.22") == ["ablation-residual-mnist5k"]
    assert links("Whether residual holds") == ["rules"]
    assert links("Looked at 4 times.") == ["judging"]
    assert links("plain56 · none diverged") == []


def test_every_image_says_what_it_shows(parsed):
    images = [attributes for tag, attributes in parsed.elements if tag == "img"]
    assert all(image["alt"].strip() for image in images)
    figures = [a for tag, a in parsed.elements if tag == "figure"]
    assert len(figures) == 2 + 4 + 1 + 2 + 7 + 4 + 2 + 2
    assert len(images) == len(figures) - 7 + 7 * 8


def test_alt_texts_carry_the_numbers(parsed, tables):
    alts = " ".join(a["alt"] for tag, a in parsed.elements if tag == "img").replace(NO_BREAK, " ")
    for cell in tables["cells"].to_dict("records"):
        if np.isnan(cell["test_accuracy"]):
            assert f"{cell['model']} every run diverged" in alts
            continue
        assert mean_and_sd(cell, "test_accuracy") in alts
        for name in ("val_accuracy_last", "ece", "ece_scaled"):
            assert f"{100 * cell[name]:.2f} %" in alts
    found = tables["comparisons"].dropna(subset=["difference"]).iloc[0]
    limits = f"{signed(found['low'])} to {signed(found['high'])}"
    names = f"{found['arm']} against {found['reference']}"
    assert f"{names} {signed(found['difference'])} ({limits}), the same; " in alts
    few = tables["comparisons"].query("experiment == 'augmentation'").iloc[0]
    limits = f"{signed(few['image_low'])} to {signed(few['image_high'])}"
    names = f"{few['arm']} against {few['reference']}"
    assert f"{names} {each_seed(few, 2)} ({limits} *), open; " in alts
    note = "* 95 % intervals for test images only, these runs."
    told = [a.get("alt", "") for _, a in parsed.elements]
    told = [alt for alt in told if alt.startswith("Differences on ")]
    assert [note in alt for alt in told] == [False, False, True, True]  # augmentation comes last
    confused = tables["confusion"].query("true != predicted and experiment == 'residual'")
    worst = confused.loc[confused["share"].idxmax()]
    told = f"{worst['true']} taken for {worst['predicted']} in {100 * worst['share']:.2f} %"
    assert f"{worst['model']} {told}" in alts


def test_headings_step_down_one_at_a_time(parsed):
    levels = [int(tag[1]) for tag, _ in parsed.elements if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(below <= above + 1 for above, below in pairwise(levels))


def test_tables_can_be_read_without_seeing_and_scrolled_without_a_mouse(parsed):
    tags = [tag for tag, _ in parsed.elements]
    assert tags.count("caption") == tags.count("table") > 5
    assert all("scope" in a for tag, a in parsed.elements if tag == "th")
    regions = [a for _, a in parsed.elements if a.get("role") == "region"]
    assert len(regions) >= tags.count("table")
    for attributes in regions:
        assert attributes["tabindex"] == "0"
        assert attributes.get("aria-label") or attributes.get("aria-labelledby")


@pytest.mark.parametrize("which", ["page", "partial_page"])
def test_no_section_and_no_table_is_empty(request, which):
    page = request.getfixturevalue(which)
    assert not re.search(r"</h[1-4]>\s*</(section|div)>", page)
    assert not re.search(r"<tbody>\s*</tbody>", page)
    assert not re.search(r"<(ul|dl)[^>]*>\s*</\1>", page)


def test_foreign_text_is_text(page, parsed):
    assert "&lt;script&gt;alert(&#34;1&#34;)&lt;/script&gt; &amp; $x_1$ | *shortcuts*" in page
    assert "Does `depth` hurt? [No](http://example.org) # &lt;b&gt;really&lt;/b&gt;" in page
    assert not [tag for tag, _ in parsed.elements if tag in ("b", "i", "processor", "more")]
    assert [tag for tag, _ in parsed.elements].count("script") == 1
    assert any(a.get("alt", "").endswith('class say "it"') for _, a in parsed.elements)


def test_the_ablation_table_says_what_cells_and_comparisons_say(page, tables):
    words = {
        "better": "more accurate than",
        "worse": "less accurate than",
        "same": "the same as",
        "open": "open against",
    }  # fmt: skip
    seen = set()
    compared = (
        tables["comparisons"]
        .query("kind == 'baseline'")
        .set_index(["experiment", "arm_model", "arm_augmentation"])
    )
    for experiment, cells in tables["cells"].groupby("experiment"):
        rows = rows_of(page, f"ablation-{experiment}-mnist5k")
        assert len(rows) == len(cells)
        for row, cell in zip(rows, cells.to_dict("records"), strict=True):
            assert row[0] == cell["model"]
            diverged = cell["diverged"] > 0
            assert row[3] == (
                "every run diverged" if diverged else mean_and_sd(cell, "test_accuracy")
            )
            assert row[6] == mean_and_sd(cell, "top5_accuracy")
            assert row[7] == mean_and_sd(cell, "train_accuracy_clean")
            assert row[8] == ("–" if diverged else signed(cell["gap"]))
            if cell["is_baseline"]:
                assert row[4:6] == ["–", "baseline"]
                continue
            found = compared.loc[(experiment, cell["model"], cell["augmentation"])]
            if diverged:
                assert row[2] == "3 of 3 (3 diverged)"
                assert row[4:6] == ["–", f"no finished seed in common with {found['reference']}"]
                continue
            limits = f"{signed(found['low'])} to {signed(found['high'])}"
            if experiment == "augmentation":  # two seeds
                assert row[4] == f"{each_seed(found, 2)} ({limits} *)"
            else:
                assert row[4] == f"{signed(found['difference'])} ({limits})"
            said = f"{words[found['verdict']]} {found['reference']}"
            if found["verdict"] == "same":
                said += "; a failure rate above 63 % is ruled out"
            assert row[5] == said
            seen.add(found["verdict"])
    assert seen == {"better", "same", "open"}


def test_the_table_of_epochs_says_what_choosing_one_would_have_added(page, tables):
    rows = rows_of(page, "epochs-augmentation-mnist5k")
    cells = tables["cells"].query("experiment == 'augmentation'").to_dict("records")
    for row, cell in zip(rows, cells, strict=True):
        assert row[2:5] == [
            mean_and_sd(cell, f"val_accuracy_{name}") for name in ("last", "median5", "best")
        ]
        assert row[5] == signed(cell["best_epoch_gain"]) == "+0.30"


def test_every_comparison_has_its_row(page, tables):
    seen = set()
    for (experiment, dataset), compared in tables["comparisons"].groupby(["experiment", "dataset"]):
        rows = rows_of(page, f"comparisons-{experiment}-{dataset}")
        for row, found in zip(rows, compared.to_dict("records"), strict=True):
            if found["verdict"] == "none":
                assert row[3:] == ["0", *["–"] * 7, "no common finished seed"]
                continue
            assert row[3] == f"{found['seeds']:.0f}"
            assert row[7:9] == [f"{100 * found['agree']:.0f}", "0.75"]
            assert row[10] == f"{signed(found['image_low'])} to {signed(found['image_high'])}"
            seen.add(found["verdict"])
            if experiment == "augmentation":
                continue  # two seeds: the next test
            assert row[4] == signed(found["difference"])
            assert row[5] == f"{signed(found['low'])} to {signed(found['high'])}"
            assert row[6] == ("&lt;0.001" if found["p_holm"] < 0.001 else "0.210")
            assert row[9] == "1.23 (0.87 to 2.91)"
            assert row[11] == {
                "better": "more accurate", "worse": "less accurate", "open": "open",
                "same": "the same; a failure rate above 63 % is ruled out",
            }[found["verdict"]]  # fmt: skip
    assert seen == {"better", "worse", "same", "open"}
    assert heads_of(page, "comparisons-residual-mnist5k")[9] == (
        "Smallest detectable difference, points (95 % interval)"
    )
    kinds = {row[0] for row in rows_of(page, "comparisons-residual-mnist5k")}
    assert kinds == {"baseline", "twin", "budget, epoch 2, validation accuracy"}


def each_seed(found, seeds):
    """The differences of a comparison at its seeds, which are few."""
    shown = [signed(float(value)) for value in found["by_seed"].split()]
    assert len(shown) == seeds
    mean = signed(found["difference"])
    return f"{mean} [{', '.join(shown)}]" if seeds > 1 else mean


@pytest.mark.parametrize(
    ("which", "experiment", "seeds", "rows"),
    [("", "augmentation", 2, 18), ("partial_", "residual", 1, 2)],
)
def test_with_fewer_than_three_seeds_a_comparison_shows_the_seeds_and_no_test(
    request, which, experiment, seeds, rows
):
    page, results = (request.getfixturevalue(f"{which}{name}") for name in ("page", "results"))
    compared = pd.read_csv(results / "comparisons.csv", dtype={"by_seed": str}).query(
        f"experiment == '{experiment}'"
    )
    marked = 0
    for dataset, found in compared.groupby("dataset"):
        shown = rows_of(page, f"comparisons-{experiment}-{dataset}")
        for row, one in zip(shown, found.to_dict("records"), strict=True):
            assert ("*" in row[5]) == (one["basis"] == "images")
            if one["basis"] != "images":
                continue
            marked += 1
            limits = f"{signed(one['image_low'])} to {signed(one['image_high'])}"
            assert row[3:7] == [str(seeds), each_seed(one, seeds), f"{limits} *", "–"]
            assert row[9:12] == ["–", limits, "open"]
    assert marked == rows


def test_a_note_says_what_is_shown_with_fewer_than_three_seeds(page, partial_page):
    note = (
        "* With fewer than three seeds there is no verdict. Shown are the differences, in brackets "
        "those at the seeds, with 95 % intervals for test images only, these runs."
    )

    def notes(page, table):
        rest = page[page.index("</table>", page.index(f'<table id="{table}"')) :]
        return rest[: rest.index("Download")]

    for few in ("ablation-augmentation-mnist5k", "comparisons-augmentation-mnist5k",
                "comparisons-augmentation-all"):  # fmt: skip
        assert note in notes(page, few), few
    for enough in ("ablation-residual-mnist5k", "comparisons-residual-mnist5k",
                   "comparisons-residual-all"):  # fmt: skip
        assert "fewer than three" not in notes(page, enough), enough
        assert note in notes(partial_page, enough), enough  # an arm has a single seed there
    by_class = (
        "* With fewer than three seeds no effect is claimed: shown are 95 % intervals for test "
        "images only, these runs."
    )
    assert by_class in notes(page, "class-effects-augmentation-mnist5k")
    assert by_class not in notes(page, "class-effects-residual-mnist5k")


def test_rows_of_the_baseline_are_marked(page, tables):
    baselines = int(tables["cells"]["is_baseline"].sum())
    assert baselines == 3
    for table in ("ablation", "epochs", "calibration-table", "cost-table"):
        found = re.findall(rf'<table id="{table}-(?:residual|augmentation)-.*?</table>', page, re.S)
        assert "".join(found).count('<tr class="marked">') == baselines, table


def test_grids_have_their_cross_table(page, analysis):
    assert 'id="cross-residual' not in page
    rows = rows_of(page, "cross-augmentation-mnist5k-model-augmentation")
    (grid,) = analysis["experiments"][1]["grids"]
    assert [row[0] for row in rows] == grid["rows"]
    assert [row[1:] for row in rows] == [
        [f"{100 * value:.2f}" for value in values] for values in grid["values"]
    ]


def test_calibration_and_cost_have_their_tables(page, tables):
    cells = tables["cells"].query("experiment == 'residual'").to_dict("records")
    rows = rows_of(page, "calibration-table-residual-mnist5k")
    for row, cell in zip(rows[:-1], cells[:-1], strict=True):
        assert row[2] == f"{cell['nll']:.4f} ± {cell['nll_sd']:.4f}"
        assert row[4:6] == [mean_and_sd(cell, "ece"), mean_and_sd(cell, "ece_scaled")]
        assert row[6] == f"{cell['temperature']:.2f} ± {cell['temperature_sd']:.2f}"
    assert rows[-1] == ["plain56", "none", *["–"] * 5]
    rows = rows_of(page, "cost-table-residual-mnist5k")
    assert rows[0][3:] == ["17,000", "2.03 M", "5", "1.99", "1001 ± 1"]
    assert rows[-1][2:] == ["every run diverged", "17,003", "2.03 M", "–", "–", "–"]


def test_a_long_table_of_classes_shows_the_most_helped_and_harmed(page, tables):
    effects = tables["class_effects"].query("experiment == 'augmentation'")
    assert len(effects) == 100
    rows = rows_of(page, "class-effects-augmentation-mnist5k")
    strongest = effects.sort_values("difference", ascending=False)["difference"]
    wanted = [*strongest[:10], *strongest[-10:]]
    assert [row[5] for row in rows] == [signed(value) for value in wanted]
    assert [row[6:] for row in rows] == [  # two seeds
        [f"{signed(value - 0.02)} to {signed(value + 0.02)} *", "–", "unclear"] for value in wanted
    ]
    few = [row[6:8] for row in rows_of(page, "class-effects-residual-mnist5k")]
    assert not any("*" in limits for limits, _ in few)
    assert {p for _, p in few} == {"0.300"}
    assert "the 10 most helped and the 10 most harmed of 100 pairs" in page
    assert len(rows_of(page, "class-effects-residual-mnist5k")) == 20
    means = tables["classes"].query("experiment == 'augmentation'").groupby("class")["accuracy"]
    hardest = rows_of(page, "hardest-augmentation-mnist5k")
    assert [row[2] for row in hardest] == [f"{100 * x:.2f}" for x in sorted(means.mean())]


def test_every_run_has_its_row_and_its_fold(page, tables):
    rows = rows_of(page, "run-table")
    assert [row[5] for row in rows] == list(tables["runs"]["id"])
    assert {row[6] for row in rows} == {"completed", "stopped early", "diverged"}
    folds = re.findall(r"<details>.*?</details>", section_of(page, "runs"), re.S)
    assert len(folds) == len(rows)
    first = tables["runs"].iloc[0]
    assert f"<dd>{100 * first['test_accuracy']:.2f} %</dd>" in folds[0]
    assert f"<dd>{first['nll']:.4f}</dd>" in folds[0]
    assert "<dt>Reason</dt>" not in "".join(folds)


def test_what_is_missing_is_shown(partial_page):
    banner = partial_page[partial_page.index('<header class="partial">') :]
    assert "4 of 36 runs are missing" in banner[:200]
    assert partial_page.index("<header") < partial_page.index("<nav")
    rows = {tuple(row[:2]): row for row in rows_of(partial_page, "ablation-augmentation-mnist5k")}
    assert rows["plain20", "cutmix"][2:6] == [
        "0 of 2 (1 failed; 1 missing)", "no finished run", "–",
        "no finished seed in common with plain20 · none",
    ]  # fmt: skip
    rows = {row[0]: row for row in rows_of(partial_page, "ablation-residual-mnist5k")}
    assert rows["resnet56"][2] == "1 of 3 (1 failed; 1 missing)"
    assert "±" not in rows["resnet56"][3]
    statuses = [row[6] for row in rows_of(partial_page, "run-table")]
    assert [statuses.count(x) for x in ("failed", "still running", "not run yet")] == [2, 1, 1]
    runs = section_of(partial_page, "runs")
    assert "<dd>failed: &lt;OOM&gt; at epoch 3\nno memory</dd>" in runs
    assert runs.count("<dd>results/logs/train/") == 4
    cross = rows_of(partial_page, "cross-augmentation-mnist5k-model-augmentation")
    assert cross[1][4] == "not run"


def test_a_complete_report_has_no_banner(page):
    assert "partial" not in page[page.index("</style>") : page.index("</main>")]


def test_runs_that_stopped_early_are_told_in_words(page):
    rows = rows_of(page, "ablation-augmentation-mnist5k")
    row = next(r for r in rows if r[0:2] == ["plain20", "colour"])
    assert row[2] == "2 of 2 (1 stopped early, mean 4 epochs)"


def test_scores_validated_on_the_test_split_are_marked_wherever_they_stand(page):
    words = "† The test split was used for validation in this experiment"
    for name in ("tables", "curves", "classes", "calibration", "cost"):
        section = section_of(page, name)
        middle = section.index(f'<h3 id="section-{name}-augmentation-mnist5k"')
        assert "†" not in section[:middle]
        after = section[middle:]
        figures = re.findall(r"<figure .*?</figure>", after, re.S)
        assert all(words in figure for figure in figures)
        shown = re.findall(
            r"<table .*?</table>\s*</div>(?:\s*<p class=.note.>[^<]*</p>)*", after, re.S
        )
        assert all(words in table for table in shown)
        assert figures
    assert "Test accuracy, % †" in heads_of(page, "ablation-augmentation-mnist5k")
    assert "Test accuracy, %" in heads_of(page, "ablation-residual-mnist5k")
    for row in rows_of(page, "run-table"):
        assert row[7].endswith("†") == (row[0] == "augmentation")
    verdict = section_of(page, "verdict")
    assert "augmentation), so these scores are optimistic" in verdict
    assert verdict.count('<span class="badge">† validated on the test split') == 1
    assert "the test split †" in section_of(page, "methods")


def test_curves_with_mixed_labels_say_what_cannot_be_compared(page):
    note = "training loss and training accuracy under mixed labels are not comparable"
    assert page.count(note) == 1


def test_how_it_was_made_is_told(page):
    for text in (
        "snakemake --cores 8 --resources gpu=1", "keras 3.15.0, 3.15.1", "A &lt;processor&gt;",
        "mnist5k/1.0.0", "ab" * 32, "3,600", "Every number is of the last epoch.",
        "Warning: Some runs were made", "@article{x,", "learning_rate 0.05",
        "2.03 M", "17,000", "brightness(0.2) | contrast(0.7, 1.3)", "2.50", "He et al. 2016",
        "budget proposed &lt;where&gt; runs still improve",
    ):  # fmt: skip
        assert text in page, text


def test_how_experiments_were_judged_is_told_with_the_number_of_looks(page):
    assert heads_of(page, "judging") == [
        "Experiment", "Seeds", "Comparisons", "Level, %", "Margin, points", "Looks",
    ]  # fmt: skip
    assert rows_of(page, "judging") == [
        ["residual", "0, 1, 2", "17", "2.50", "0.50", "4"],
        ["augmentation", "0, 1", "17", "2.50", "0.50", "1"],
    ]
    rest = page[page.index("</table>", page.index('<table id="judging"')) :]
    assert "at how many sets of finished seeds it has been looked" in rest[:500]


def test_downloads_hold_the_rows_behind_figures_and_tables(parsed, reports, results):
    links = {a["download"]: a["href"] for tag, a in parsed.elements if "download" in a}
    folder = reports / "sample"
    images = {file.name for file in folder.iterdir() if file.suffix in (".svg", ".png")}
    assert links.keys() == {file.name for file in folder.iterdir()} - images
    for name, link in links.items():
        head, content = link.split(",", 1)
        assert head.endswith(";base64")
        assert base64.b64decode(content) == (folder / name).read_bytes()
    figures = [a["id"] for tag, a in parsed.elements if tag == "figure"]
    for name in figures:
        assert any(link.startswith(name) for link in links), name
    assert links["curves-residual-mnist5k.csv"].startswith("data:text/csv;base64,")

    def rows(file):
        return list(csv.DictReader(io.StringIO(file.read_text())))

    for name, dataset, file in (
        ("curves", "mnist5k", "curves"), ("confusion", "mnist5k", "confusion"),
        ("calibration", "mnist5k", "reliability"), ("comparisons", "all", "differences"),
        ("comparisons", "mnist5k", "comparisons"), ("classes", "mnist5k", "classes"),
        ("class_effects", "mnist5k", "class-effects"), ("runs", "mnist5k", "accuracies"),
    ):  # fmt: skip
        wanted = [
            row for row in rows(results / f"{name}.csv")
            if (row["experiment"], row["dataset"]) == ("augmentation", dataset)
        ]  # fmt: skip
        found = rows(folder / f"{file}-augmentation-{dataset}{'-runs' * (name == 'runs')}.csv")
        assert [row.keys() for row in found] == [row.keys() for row in wanted]
        for row, other in zip(found, wanted, strict=True):
            for key, value in other.items():
                same = row[key] == value or float(row[key]) == float(value)
                assert same or value == "nan", (name, key)


def test_pictures_on_the_page_are_those_in_the_files(parsed, reports):
    drawn = [
        urllib.parse.unquote(a["src"].removeprefix("data:image/svg+xml,"))
        for tag, a in parsed.elements
        if tag == "img" and a["src"].startswith("data:image/svg+xml,")
    ]
    files = {
        ET.canonicalize(re.sub(r"\s+", " ", file.read_text()), strip_text=True)
        for file in (reports / "sample").glob("*.svg")
    }
    assert {ET.canonicalize(one, strip_text=True) for one in drawn} == files


def test_values_to_sort_by_are_those_of_the_cells(page, tables):
    table = re.search(
        r'<table id="ablation-residual-mnist5k" class="sortable".*?</table>', page, re.S
    )
    values = re.findall(r'<td data-value="([^"]*)" class="number">9[^<]*</td>', table.group(0))
    wanted = tables["cells"].query("experiment == 'residual'")
    assert {float(x) for x in values} >= set(wanted["test_accuracy"].dropna())
    assert "nan" not in re.findall(r'data-value="([^"]*)"', page)
    assert '<table id="training-residual">' in page  # names with their values keep their order


def test_the_page_is_small(page, partial_page):
    assert len(page.encode()) < 2_000_000
    assert len(partial_page.encode()) < 2_000_000
