"""The report in Chromium: one browser for the session, a fresh context for every page opened."""

import json
import os
import shutil
from contextlib import chdir, contextmanager

import numpy as np
import pytest
from playwright.sync_api import sync_playwright

from ablation.report.inputs import read_inputs
from ablation.report.render import Report
from ablation.study.requests import models_request

from ...factory import analysed, simulated_study
from ..made import cost_of, described

PHONE = 500  # CSS pixels: below, the browser behaves as a phone's
LONG = "geometric-transformations-of-every-kind-and-more"
LABELS = ["none", "crop", "mix", LONG, *(f"cut-out-{n}" for n in range(4))]
EXTRA = f"""
<nav class="contents" aria-label="More">

[Two folds down](#inner) · [A fold](#fold) · [Its figure](#figure-extra)

</nav>

<a id="fold"></a>

<details>
<summary>A fold</summary>

<details>
<summary>A fold within</summary>

<a id="inner"></a>

#### A place

*Table 99. A table with links to its files.* [CSV](sample/extra.csv) [LaTeX](sample/extra.tex)

| {" | ".join(f"A rather long title {n}" for n in range(14))} |
|{" --- |" * 14}
| {" | ".join(f"a_name_that_cannot_be_broken_{n}" for n in range(14))} |

</details>

<a id="figure-extra"></a>

![What the extra figure shows](sample/extra.svg)

*Figure 99. A wide figure.* [PDF-of-it](sample/extra.pdf)

PRINTED-LAST

</details>

<details class="summary">
<summary>Layers</summary>

    NOT-PRINTED

</details>
"""
SVG = (
    b'<svg width="662.4pt" height="200pt" viewBox="0 0 662.4 200"'
    b' xmlns="http://www.w3.org/2000/svg"><rect width="662.4" height="200" fill="white"/></svg>'
)
FILES = {"extra.svg": SVG, "extra.pdf": b"%PDF", "extra.csv": b"a,b\n1,2\n", "extra.tex": b"a & b"}


@pytest.fixture(scope="session")
def browser():
    program = os.environ.get("CHROMIUM") or shutil.which("chromium")
    if program is None:
        pytest.fail("these tests need Chromium: `make test-browser` finds or installs it")
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=arguments)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def report(tmp_path_factory):
    """The report of made-up runs: many arms, long names, an arm without results."""
    folder = tmp_path_factory.mktemp("sample")
    usual = {
        "datasets": ["mnist5k"], "seeds": [0, 1, 2], "final_seeds": 3, "training": {"epochs": 3},
    }  # fmt: skip
    study = {
        "title": "Do shortcuts pay?",
        "description": "Two questions.",
        "experiments": {
            "residual": {
                "question": "Does depth hurt a plain network?", **usual,
                "models": ["resnet8", "plain8", "resnet14", "plain14"],
                "augmentations": {"none": ""},
                "comparisons": [{"kind": "factor", "factors": ["depth", "shortcut"]}],
            },
            "augmentation": {
                "question": "Which augmentation helps?", **usual,
                "models": ["resnet8", "plain8"],
                "augmentations": {x: f"crop({i})" if i else "" for i, x in enumerate(LABELS)},
                "baseline": {"augmentation": "none"},
            },
        },
    }  # fmt: skip
    plan = simulated_study(
        folder, json.dumps(study),
        lambda cell, seed: 0.9 - 0.01 * LABELS.index(cell[2]) - 0.1 * (cell[1] == "plain14")
        + 0.002 * seed,
        name="sample", diverged=lambda cell, seed: cell[2] == "cut-out-3",
    )  # fmt: skip
    analysed(folder, plan)
    results = folder / "results/sample"
    networks = [
        {**described(block), "costs": [cost_of(block["dataset"], 10**6, (28, 28, 1))]}
        for block in models_request(plan)
    ]
    (results / "models.json").write_text(json.dumps(networks))
    for name in ("gallery", "mistakes"):
        np.savez(results / f"{name}.npz", index=np.array("[]"))
    return folder, Report("sample", read_inputs(results))


@pytest.fixture(scope="session")
def report_file(report):
    """Its page, with a part that holds what templates may write."""
    folder, made = report
    with chdir(folder):
        markdown = made.markdown() + EXTRA
        made.files |= FILES
        file = folder / "sample.html"
        file.write_text(made.page(markdown), encoding="utf-8")
    return file


@contextmanager
def opening(browser):
    """A function that opens a file and gives its page; closes all at the end."""
    contexts = []

    def open_file(file, *, width=1400, scheme="light", media=None, scripts=True, folds=False):
        context = browser.new_context(
            viewport={"width": width, "height": 900},
            is_mobile=width < PHONE,
            color_scheme=scheme,
            java_script_enabled=scripts,
        )
        contexts.append(context)
        page = context.new_page()
        page.complaints = []  # what it asked for from outside, and what its console said
        context.route("**/*", lambda route: answer(route, page.complaints))
        page.on("console", lambda said: page.complaints.append(said.text))
        page.on("pageerror", lambda error: page.complaints.append(str(error)))
        if media:
            page.emulate_media(media=media)
        page.goto(file.as_uri())
        if folds:
            page.evaluate("document.querySelectorAll('details').forEach(fold => fold.open = true)")
        return page

    try:
        yield open_file
    finally:
        for context in contexts:
            context.close()


def answer(route, complaints):
    if route.request.url.startswith(("file:", "data:")):
        route.continue_()
    else:
        complaints.append(route.request.url)
        route.abort()


@pytest.fixture
def open_page(browser):
    """Opens a file and gives its page."""
    with opening(browser) as open_file:
        yield open_file
