"""The tables that are shown: what is in them, and that Markdown, LaTeX and CSV are the same."""

import html
import io
import json
import re

import pandas as pd
import pytest
from markdown_it import MarkdownIt

from ablation.report import tables
from ablation.study.metrics import METRICS

from .made import arms, made
from .test_text import read_latex

BY_NAME = {metric.name: metric for metric in METRICS}


def plain(frame):
    """Cells without the mark of bold ones."""
    return frame.map(lambda cell: str(cell).replace(tables.BOLD, ""))


def column(frame, start):
    """The column whose title starts so, by the first column."""
    (name,) = [name for name in frame if name.startswith(start)]
    return dict(zip(plain(frame).iloc[:, 0], plain(frame)[name], strict=True))


def bold(frame):
    first = frame.iloc[:, 0]
    return [one.replace(tables.BOLD, "") for one in first if one.startswith(tables.BOLD)]


def ablation(made, place=0, dataset="mnist5k", decimals=1):
    return tables.ablation_table(made.report().experiments[place], dataset, decimals)


def test_means_deviations_differences_and_verdicts(crossed):
    frame = ablation(crossed, 1)
    assert column(frame, "Test accuracy") == {
        "none": "90.0 ± 0.1", "crop": "95.0 ± 0.1", "bright": "90.0 ± 0.1", "mix": "85.0 ± 0.1",
    }  # fmt: skip
    shown = column(frame, "Difference to none, points")
    assert shown["none"] == "–" and shown["crop"].startswith("+5.0 (+")
    comparisons = crossed.tables["comparisons"]
    row = comparisons[comparisons["arm"] == "mix"].iloc[0]
    ends = [f"−{abs(100 * end):.1f}" for end in (row["ci_low"], row["ci_high"])]
    assert shown["mix"] == f"−5.0 ({ends[0]} to {ends[1]})" and row["ci_low"] < row["ci_high"]
    verdicts = {name: shown.split()[-1] for name, shown in column(frame, "Verdict").items()}
    assert verdicts == {"none": "–", "crop": "better", "bright": "same", "mix": "worse"}


def test_the_deviation_is_that_of_a_sample():
    assert tables.seeds_or_spread([0.90, 0.92, 0.94], "share", 1) == "92.0 ± 2.0"
    assert tables.seeds_or_spread([0.01, 0.02, 0.03], "difference", 1) == "+2.0 ± 1.0"
    assert tables.seeds_or_spread([2.0, 3.0, 4.0], "number", 1) == "3.000 ± 1.000"


def test_two_seeds_have_both_values_and_no_interval(changed):
    study = changed(arms("none", "crop", seeds=[0, 1]), crop={"accuracy": 0.9})
    frame = ablation(study)
    assert column(frame, "Test accuracy") == {"none": "95.0 / 95.1", "crop": "90.0 / 90.1"}
    assert column(frame, "Difference") == {"none": "–", "crop": "−5.0 / −5.0"}
    assert not any("±" in cell or "to" in cell for cell in frame.to_numpy().ravel())


def test_each_arm_names_its_own_reference_where_they_differ(crossed):
    frame = ablation(crossed, 0)
    shown = column(frame, "Difference, points")
    assert shown["plain8"].endswith(" to resnet8") and shown["plain14"].endswith(" to resnet14")


def test_columns_in_which_every_row_is_the_same_are_left_out(crossed, changed):
    assert [name for name in ablation(crossed, 1) if name.startswith("Training")] == []
    study = changed(arms("none", "crop"), crop={"train_accuracy": 0.98})
    assert column(ablation(study), "Training accuracy") == {
        "none": "97.0 ± 0.0", "crop": "98.0 ± 0.0",
    }  # fmt: skip
    single = changed(arms("none", baseline=None))
    assert list(ablation(single).iloc[0]) == ["resnet8", "95.0 ± 0.1", "97.0 ± 0.0"]


def test_the_best_arms_are_bold_unless_all_are(crossed, changed):
    assert bold(ablation(crossed, 1)) == ["crop"]
    top = bold(ablation(crossed, 0))
    assert "resnet14" in top and not {"plain8", "plain14"} & set(top)
    study = changed(arms("none", "a", "b"), a={"accuracy": 0.97}, b={"accuracy": 0.9})
    assert bold(ablation(study)) == ["a"]
    assert len(bold(ablation(changed(arms("none", "a", "b"))))) in (0, 3)


def test_arms_without_a_result_say_why(spoilt, changed):
    assert "Test accuracy†, %" in ablation(spoilt) and len(ablation(spoilt)) == 8
    lost = changed(arms("none", "crop"), crop={"status": "diverged"})
    assert column(ablation(lost), "Test accuracy")["crop"] == "diverged"


def test_diverged_runs_are_not_in_the_means(spoilt):
    frame = plain(ablation(spoilt))
    rows = {(m, a): reached for m, a, reached in frame.iloc[:, :3].to_numpy()}
    assert rows["plain8", "mix"] == "84.0"  # of four runs two diverged and one is missing
    assert rows["resnet8", "mix"] == "87.0 ± 3.0"


def test_every_comparison_is_in_the_long_table(crossed, growing):
    for study, place in ((crossed, 0), (crossed, 1), (growing, 0)):
        experiment = study.report().experiments[place]
        frame = tables.comparisons_table(experiment, 1)
        rows = study.tables["comparisons"]
        rows = rows[rows["experiment"] == experiment.name]
        assert len(frame) == len(rows)
        assert set(frame["Arm"]) == set(rows["arm"])


def test_p_values_are_the_corrected_ones(changed):
    study = changed(
        arms("none", "a", "b", "c"), a={"accuracy": 0.955}, b={"accuracy": 0.953}, c={"accuracy": 1}
    )
    rows = study.tables["comparisons"]
    frame = tables.comparisons_table(study.report().experiments[0], 1)
    shown = [f"{p:.3f}" if p >= 0.001 else "<0.001" for p in rows["p_adjusted"]]
    assert frame["p"].tolist() == shown
    assert any(rows["p"].round(3) != rows["p_adjusted"].round(3))


def test_losses_have_their_own_unit_and_metrics_an_epoch(growing):
    frame = tables.comparisons_table(growing.report().experiments[0], 1)
    titles = set(frame["Metric"])
    assert {"Test accuracy", "Negative log-likelihood"} <= titles
    assert any("epoch 2" in title for title in titles)
    row = growing.tables["comparisons"].query("measure == 'nll'").iloc[0]
    values = [float(value) for value in row["by_seed"].split()]
    shown = frame[frame["Metric"] == "Negative log-likelihood"]["Difference (interval)"].iloc[0]
    assert shown == " / ".join(f"{value:+.3f}".replace("-", "−") for value in values)


def test_every_metric_can_be_shown(crossed):
    experiment = crossed.report().experiments[1]
    frames = tables.metrics_tables(experiment, "mnist5k", METRICS, 1)
    assert [name for frame in frames for name in list(frame)[1:]] == [
        "none",
        "crop",
        "bright",
        "mix",
    ]
    (frame,) = [frame for frame in frames if "crop" in frame]
    assert len(frame) == len(METRICS)
    assert column(frame, "crop")["Generalization gap, points"] == "+4.0 ± 0.1"


HARD = pd.DataFrame(
    {
        "Arm, %": [f"{tables.BOLD}a_b | <i>{tables.BOLD}", "**x**", "$5 & {c}"],
        "Value": ["1.0 ± 0.1", "−2.0", "–"],
    }
)


def of_markdown(text):
    shown = MarkdownIt("gfm-like", {"linkify": False}).render(text)
    rows = re.findall(r"<tr>(.*?)</tr>", shown, re.S)
    cells = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row) for row in rows]
    return [[html.unescape(re.sub("</?strong>", "", cell)) for cell in row] for row in cells]


def of_latex(text):
    body = text.split("\\toprule\n")[1].split("\\bottomrule")[0].replace("\\midrule\n", "")
    rows = [re.split(r"(?<!\\)&", row) for row in body.strip().removesuffix("\\\\").split("\\\\\n")]
    return [
        [read_latex(re.sub(r"^\\textbf\{(.*)\}$", r"\1", cell.strip())) for cell in row]
        for row in rows
    ]


@pytest.mark.parametrize("read", ["markdown", "latex"])
def test_hard_texts_are_shown_as_they_are(read):
    if read == "markdown":
        shown = of_markdown(tables.markdown_table(HARD))
    else:
        shown = of_latex(tables.latex_table(HARD, "A {caption} & 5 %", "label"))
    assert shown == [list(HARD), *plain(HARD).to_numpy().tolist()]


def test_latex_is_a_whole_table():
    latex = tables.latex_table(HARD, "A } caption & 5 %", "name")
    assert "\\textbf{a\\_b" in latex and "booktabs" in latex.splitlines()[0]
    assert r"\caption{A \} caption \& 5 \%}" in latex and r"\label{tab:name}" in latex
    assert re.search(r"\\begin\{tabular\}\{@\{\}lr@\{\}\}", latex)
    for name in ("table", "tabular"):
        assert latex.count(f"\\begin{{{name}}}") == latex.count(f"\\end{{{name}}}") == 1


def test_markdown_latex_and_csv_of_a_report_hold_the_table_shown(rendered):
    shown = re.findall(r'<a id="table-([^"]+)"></a>\n\n\*.*\*\n\n((?:\|.*\n)+)', rendered.markdown)
    assert len(shown) >= 4
    for name, text in shown:
        rows = of_markdown(text)
        csv = pd.read_csv(
            io.BytesIO(rendered.files[f"{name}.csv"]), dtype=str, keep_default_na=False
        )
        assert [list(csv), *csv.to_numpy().tolist()] == rows, name
        assert of_latex(rendered.files[f"{name}.tex"].decode()) == rows, name


def test_a_claim_is_beside_the_comparisons_that_test_it(tmp_path):
    study = json.loads(arms("none", "crop", "mix"))
    (block,) = study["experiments"].values()
    reference = {"augmentation": "none"}
    block["comparisons"] = [
        {"kind": "arm", "arm": {"augmentation": arm}, "reference": reference,
         "claim": "helps", "says": "better"}
        for arm in ("crop", "mix")
    ]  # fmt: skip
    again = block | {"revisits": "arms", "training": {"epochs": 5}}
    block = block | {"claims": {"helps": {"text": "Both help.", "source": "A paper"}}}
    study["experiments"] = {"arms": block, "again": again}
    reached = iter([0.9, 0.95, 0.96, 0.9, 0.95, 0.8])
    means = {}

    def accuracy(cell, seed):
        if seed == 0:
            means[cell] = next(reached)
        return means[cell] + 0.001 * seed

    experiments = made(tmp_path, json.dumps(study), accuracy).report().experiments
    there, here = (tables.claims_table(experiment, 1) for experiment in experiments)
    assert there["Claim is"].tolist() == ["holds", "holds"] and "Here" not in there
    assert there["Difference (interval)"][0].startswith("+5.0 (+")
    assert here["Claim is"].tolist() == ["contradicted", "contradicted"]  # by one of its two parts
    assert set(here["Here"]) == {"does not survive"}
    assert [shown.split()[-1] for shown in here["Verdict"]] == ["better", "worse"]
    assert here["Difference (interval)"][1].startswith("−10.0 (−")
