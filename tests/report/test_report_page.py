import re
from html.parser import HTMLParser
from itertools import pairwise

import pytest

VOID = {"meta", "link", "img", "br", "hr", "input"}


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


def rows_of(page, table):
    """The cells of a table's body as text."""
    body = re.search(rf'<table id="{table}">.*?<tbody>(.*?)</tbody>', page, re.S).group(1)
    cells = r"<t[hd][^>]*>(?:<code>)?(.*?)(?:</code>)?</t[hd]>"
    return [
        [cell.replace("\N{NO-BREAK SPACE}", " ") for cell in re.findall(cells, row)]
        for row in re.findall(r"<tr.*?</tr>", body, re.S)
    ]


def test_the_page_is_well_formed(parsed):
    assert parsed.problems == []
    assert parsed.open == []


def test_nothing_is_loaded_from_outside_and_no_script_runs(parsed, page):
    assert not [tag for tag, _ in parsed.elements if tag in ("script", "iframe", "object")]
    for tag, attributes in parsed.elements:
        for name, value in attributes.items():
            assert not name.startswith("on"), (tag, name)
            if name in ("src", "href", "srcset", "action", "data", "poster"):
                assert value.startswith(("data:", "#")), (tag, name, value[:80])
    styles = "".join(text for tag, text in parsed.texts if tag == "style")
    assert "prefers-color-scheme: dark" in styles
    assert "@import" not in styles
    assert "url(" not in styles
    assert "javascript:" not in page


def test_ids_are_unique_and_every_link_arrives(parsed):
    ids = [attributes["id"] for _, attributes in parsed.elements if "id" in attributes]
    assert len(set(ids)) == len(ids)
    links = [a["href"][1:] for tag, a in parsed.elements if tag == "a"]
    assert set(links) <= set(ids)
    for key in ("aria-labelledby", "aria-describedby"):
        assert {a[key] for _, a in parsed.elements if key in a} <= set(ids)
    figures = {a["id"] for tag, a in parsed.elements if tag == "figure"}
    sections = {a["aria-labelledby"] for tag, a in parsed.elements if tag == "section"}
    assert figures | sections <= set(links)


def test_every_image_says_what_it_shows(parsed):
    images = [attributes for tag, attributes in parsed.elements if tag == "img"]
    assert len(images) == 4 + 7 * 8
    assert all(image["alt"].strip() for image in images)


def test_alt_texts_carry_the_numbers(parsed, analysis):
    alts = " ".join(a["alt"] for tag, a in parsed.elements if tag == "img")
    for experiment in analysis["experiments"]:
        for cell in experiment["cells"]:
            for measure in ("test_accuracy", "val_accuracy_last"):
                value = cell["measures"][measure]
                assert (f"{100 * value['mean']:.2f} %" if value else "diverged") in alts


def test_headings_step_down_one_at_a_time(parsed):
    levels = [int(tag[1]) for tag, _ in parsed.elements if re.fullmatch(r"h[1-6]", tag)]
    main = levels[1:]  # the first is the navigation's
    assert main[0] == 1
    assert main.count(1) == 1
    assert all(below <= above + 1 for above, below in pairwise(main))


def test_tables_can_be_read_without_seeing_and_scrolled_without_a_mouse(parsed):
    tags = [tag for tag, _ in parsed.elements]
    assert tags.count("caption") == tags.count("table") > 5
    assert all("scope" in a for tag, a in parsed.elements if tag == "th")
    regions = [a for _, a in parsed.elements if a.get("class") in ("scroll", "card")]
    assert len(regions) >= tags.count("table")
    for attributes in regions:
        assert attributes["role"] == "region"
        assert attributes["tabindex"] == "0"
        assert attributes.get("aria-label") or attributes.get("aria-labelledby")


def test_the_summary_comes_first_and_the_parts_in_their_order(page):
    places = [page.index(f'<h2 id="{name}"') for name in (
        "summary", "experiment-residual", "experiment-augmentation", "images", "models", "runs",
        "making",
    )]  # fmt: skip
    assert places == sorted(places)
    section = page[places[1] : places[2]]
    parts = [section.index(f"experiment-residual--{name}") for name in (
        "answer", "evidence", "problem", "open",
    )]  # fmt: skip
    assert parts == sorted(parts)


def test_foreign_text_is_text(page, parsed):
    assert "&lt;script&gt;alert(&#34;1&#34;)&lt;/script&gt; &amp; $x_1$ | *shortcuts*" in page
    assert "Does `depth` hurt? [No](http://example.org) # &lt;b&gt;really&lt;/b&gt;" in page
    assert not [tag for tag, _ in parsed.elements if tag in ("b", "i", "processor")]
    assert any(a.get("alt", "").endswith('class say "it"') for _, a in parsed.elements)


def test_numbers_of_the_ablation_table_are_those_of_the_analysis(page, analysis):
    for experiment in analysis["experiments"]:
        rows = rows_of(page, f"table-{experiment['name']}-mnist5k")
        assert len(rows) == len(experiment["cells"])
        for row, cell in zip(rows, experiment["cells"], strict=True):
            measures = cell["measures"]
            assert row[:2] == [cell["model"], cell["augmentation"]]
            test = measures["test_accuracy"]
            if test is None:
                assert row[2:9] == ["every run diverged", "0", "–", "not compared", "–", "–", "–"]
                continue
            assert row[2] == f"{100 * test['mean']:.2f} ± {100 * test['sd']:.2f}"
            assert row[3] == "2"
            if cell["is_baseline"]:
                assert row[4:6] == ["–", "baseline"]
            else:
                assert row[4] == "−1.23 (−2.14 to −0.32)"
                assert row[5] == f"less accurate than {cell['difference']['reference']}"
            for value, name in zip(
                row[6:9],
                ("val_accuracy_last", "val_accuracy_best", "train_accuracy_clean"),
                strict=True,
            ):
                assert value == f"{100 * measures[name]['mean']:.2f}"
            assert row[9] == f"{measures['seconds']['mean'] / 60:.2f}"


def test_rows_of_the_baseline_are_marked(page, analysis):
    baselines = sum(cell["is_baseline"] for e in analysis["experiments"] for cell in e["cells"])
    assert page.count('<tr class="marked">') == baselines == 3


def test_a_cross_table_stands_where_models_and_augmentations_vary(page, analysis):
    assert 'id="cross-residual-mnist5k"' not in page
    rows = rows_of(page, "cross-augmentation-mnist5k")
    assert [row[0] for row in rows] == ["resnet20", "plain20"]
    cells = analysis["experiments"][1]["cells"]
    mean = cells[-1]["measures"]["test_accuracy"]["mean"]
    assert rows[1][-1].startswith(f"{100 * mean:.2f} ±")


def test_runs_that_stopped_early_are_told_in_words(page):
    row = next(
        r for r in rows_of(page, "table-augmentation-mnist5k") if r[0:2] == ["plain20", "colour"]
    )
    assert row[-1] == "1 of 2 runs stopped early (mean 4.0 epochs)"


def test_every_run_has_its_row_and_its_id(page, results):
    text = (results / "runs.csv").read_text().splitlines()[1:]
    rows = rows_of(page, "run-table")
    assert [row[5] for row in rows] == [line.split(",")[5] for line in text]
    assert {row[6] for row in rows} == {"completed", "stopped early", "diverged"}


def test_scores_validated_on_the_test_split_are_marked_wherever_they_stand(page):
    words = "† The test split was used for validation in this experiment"
    start, end = page.index('<h2 id="experiment-augmentation"'), page.index('<h2 id="images"')
    section = page[start:end]
    assert '<span class="badge">† validated on the test split' in section
    for kind in ("figure", "table"):
        for part in re.findall(
            rf"<{kind} .*?</{kind}>(?:\s*</div>(?:\s*<p class=.note.>[^<]*</p>)*)?", section, re.S
        ):
            if part.startswith('<table id="training-'):
                assert "the test split †" in part
            else:
                assert words in part
    assert "Test accuracy, % †" in section
    before = page[page.index('<h2 id="experiment-residual"') : start]
    assert "†" not in before
    for row in rows_of(page, "run-table"):
        assert row[7].endswith("†") == (row[0] == "augmentation")
    summary = page[page.index('<h2 id="summary"') : page.index('<h2 id="experiment-residual"')]
    assert "augmentation), so these scores are optimistic" in summary


def test_curves_with_mixed_labels_say_what_cannot_be_compared(page):
    note = "cutmix, mixup, geometric+cutmix: training loss and training accuracy under mixed labels"
    assert page.count(note) == 1


def test_how_it_was_made_is_told(page):
    for text in (
        "snakemake --cores 8 --resources gpu=1", "keras 3.15.0, 3.15.1", "A &lt;processor&gt;",
        "mnist5k/1.0.0", "ab" * 32, "3,600", "Every number is of the last epoch.",
        "<strong>Warning:</strong> Some runs were made", "@article{x,", "learning_rate 0.05",
        "2.03 M", "17,000", "brightness(0.2) | contrast(0.7, 1.3)",
    ):  # fmt: skip
        assert text in page, text


def test_the_page_is_small(page):
    assert len(page.encode()) < 1_000_000
