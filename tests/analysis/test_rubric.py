"""The checks of a rubric, on tables made by hand, so that each status is known beforehand."""

import re

import numpy as np
import pandas as pd
import pytest
from jinja2 import Environment, PackageLoader, StrictUndefined

from ablation.analysis.rubric import (
    COLUMNS,
    MET,
    NOT_MET,
    REMEDIES,
    UNDECIDED,
    falls_steadily,
    largest_rise,
    late_change,
    parameter_count,
    rubric_checks,
)
from ablation.models.families import resolve_network
from ablation.study.plan import load_config, load_plan

from ..conftest import ROOT

SETTLED = (0.5, 0.9, 0.9, 0.9, 0.9)
FALLING = (2.0, 1.0, 0.6, 0.4, 0.3)
UNSTEADY = (2.0, 0.5, 1.5, 0.4, 0.3)
TURNED = {("mixup", 0): (0.5, 0.9, 0.9, 0.92, 0.92), ("mixup", 1): (0.5, 0.92, 0.92, 0.9, 0.9)}
KEYS = ["experiment", "dataset", "model", "augmentation"]
NOTEBOOKS = (ROOT / "config/rubrics/notebooks.yaml").read_text()

NETWORKS = """\
title: t
rubric: graded
experiments:
  main:
    question: q
    datasets: [{name: cats_vs_dogs, image_size: 64}]
    models: [resnet34, resnet50, plain34, plain50]
    seeds: [0, 1]
    baseline: {model: resnet34}
    training: {epochs: 5}
"""
ARMS = """\
title: t
rubric: graded
experiments:
  arms:
    question: q
    datasets: [cifar10]
    models: [resnet20]
    augmentations: {none: "", flip: flip, cutmix: cutmix, mixup: mixup}
    seeds: [0, 1]
    baseline: {augmentation: none}
    training: {epochs: 5}
"""


class Results:
    """The results of a study in which all went well, and ways to spoil them."""

    def __init__(self, plan):
        self.plan = plan
        self.status, self.loss, self.accuracy, self.records = {}, {}, {}, {}
        self.compared = []
        self.chance = 0.1
        for run in plan.runs.values():
            total, trainable = parameter_count(run.settings.model, 3, 10)
            self.records[run.folder] = {
                "parameters": total,
                "trainable_parameters": trainable,
                "class_names": [str(i) for i in range(10)],
                "data": {"shape": [100, 32, 32, 3]},
            }

    def compare(self, *pairs, needed=None, kinds="baseline"):
        """Add comparisons, each as arm, reference and verdict."""
        experiment = self.plan.experiments[0]
        for arm, reference, verdict in pairs:
            self.compared.append(
                {
                    "experiment": experiment.name, "kinds": kinds,
                    "dataset": experiment.runs[0].dataset, "measure": "test_accuracy",
                    "arm_model": "resnet20", "arm_augmentation": arm,
                    "reference_model": "resnet20", "reference_augmentation": reference,
                    "difference": 0.01, "seeds": 2, "seeds_needed": needed, "verdict": verdict,
                }
            )  # fmt: skip

    def of(self, table, run, default):
        """What was set for a run: by model or augmentation and seed, or for all seeds."""
        keys = [(run.model, run.seed), run.model, (run.augmentation, run.seed), run.augmentation]
        return next((table[key] for key in keys if key in table), default)

    def table(self):
        """Return the table of the checks."""
        runs, curves = [], []
        for experiment in self.plan.experiments:
            for run in experiment.runs:
                status = self.of(self.status, run, "completed")
                loss = self.of(self.loss, run, FALLING)
                accuracy = self.of(self.accuracy, run, SETTLED[-len(loss) :])
                key = dict(zip(KEYS, (experiment.name, *run.cell), strict=True))
                key["seed"] = run.seed
                last = accuracy[-1] if status == "completed" else np.nan
                runs.append(
                    {**key, "status": status, "val_accuracy_last": last, "test_accuracy": last}
                )
                if status in ("failed", "missing"):
                    self.records.pop(run.folder, None)
                    continue
                curves += [
                    {**key, "epoch": i, "loss": one, "val_accuracy": other}
                    for i, (one, other) in enumerate(zip(loss, accuracy, strict=True), 1)
                ]
        columns = [*KEYS, "seed", "epoch", "loss", "val_accuracy"]
        tables = {
            "runs": pd.DataFrame(runs),
            "curves": pd.DataFrame(curves, columns=columns),
            "comparisons": pd.DataFrame(self.compared),
        }
        chance = dict.fromkeys(self.records, self.chance)
        table = rubric_checks(self.plan, tables, self.records, chance)
        assert tuple(table) == COLUMNS
        return table

    def statuses(self):
        """Return the status of each criterion."""
        table = self.table()
        return list(table[table["check"] == ""]["status"])

    def checks(self):
        """Return the rows of the checks."""
        table = self.table()
        return [row for row in table.to_dict("records") if row["check"]]


@pytest.fixture
def results(project, tmp_path):
    """Make the results of a study that is graded on one check, or on the rubric given."""

    def make(study, check="", rubric=NOTEBOOKS):
        project(study)
        (tmp_path / "config/rubrics").mkdir(exist_ok=True)
        if check:
            rubric = f"criteria: [{{question: q, checks: [{check}]}}]\n"
        (tmp_path / "config/rubrics/graded.yaml").write_text(rubric)
        return Results(load_plan(load_config()))

    return make


# Counts and definitions -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "trainable"),
    [
        ("resnet18", 11_689_512), ("resnet34", 21_797_672), ("resnet50", 25_557_032),
        ("resnet101", 44_549_160), ("resnet152", 60_192_808),
        ("plain18", 11_515_688), ("plain34", 21_623_848), ("plain50", 22_780_456),
        ("plain101", 41_772_584), ("plain152", 57_416_232),
    ],
)  # fmt: skip
def test_count_of_the_papers_networks(name, trainable):
    assert parameter_count(resolve_network(name, {}), 3, 1000)[1] == trainable


def test_count_of_other_forms():
    pretrained = resolve_network("resnet50-pretrained", {})
    assert parameter_count(pretrained, 3, 1000)[0] == 25_636_712
    notebook = resolve_network("resnet34", {"projection": "3x3", "bias": True})
    assert parameter_count(notebook, 3, 10) == (22_691_594, 22_674_570)
    cifar = {20: 269_722, 32: 464_154, 44: 658_586, 56: 853_018, 110: 1_727_962}
    for depth, trainable in cifar.items():
        network = resolve_network(f"resnet{depth}", {})
        assert parameter_count(network, 3, 10)[1] == trainable


@pytest.mark.parametrize(
    ("loss", "steady"),
    [
        (FALLING, True),
        ([2.0, 1.0, 1.05, 0.9], True),  # a rise of 4.5 % of the range
        ([2.0, 1.0, 1.06, 0.9], False),
        ([2.0, 1.0, 1.04, 1.08, 0.9], False),  # two small rises add up
        ([1.0, 1.0, 1.0], False),
        ([1.0, 1.2, 1.4], False),
        ([2.0, float("nan"), 1.0], False),
    ],
)
def test_what_falls_steadily(loss, steady):
    assert falls_steadily(loss, 0.05) is steady


def test_rise_and_late_change():
    assert largest_rise([2.0, 1.0, 1.05, 0.9]) == pytest.approx(0.05 / 1.1)
    assert late_change([0.1, 0.2, 0.3, 0.4]) == pytest.approx(0.2)
    assert late_change([0.0] * 5 + [0.5] * 5) == 0.0
    assert late_change([0.0] * 12 + [0.5, 0.5, 0.5]) == pytest.approx(0.5)


# The rubric of the notebooks ------------------------------------------------------------------


def test_a_study_like_notebook_1_meets_the_first_three_criteria(results):
    study = results(NETWORKS)
    assert study.statuses() == [MET, MET, MET, NOT_MET, NOT_MET, NOT_MET]
    found = [(row["check"], row["model"]) for row in study.checks() if row["status"] == MET]
    assert found == [
        ("network", "resnet34"), ("network", "resnet50"),
        ("loss_falls", "resnet34"), ("loss_falls", "resnet50"),
        ("table", "plain34"), ("table", "resnet34"), ("table", "plain50"), ("table", "resnet50"),
    ]  # fmt: skip


def test_a_study_like_notebooks_2_and_3_meets_the_others(results):
    study = results(ARMS)
    study.accuracy = {"flip": (0.95,) * 5}
    study.compare(("flip", "none", "better"), ("cutmix", "none", "worse"))
    study.compare(("mixup", "none", "worse"))
    assert study.statuses() == [NOT_MET, NOT_MET, NOT_MET, MET, MET, MET]
    absent = [row for row in study.checks() if row["remedy_kind"] == "add_cells"]
    assert [(row["check"], row["dataset"], row["model"]) for row in absent] == [
        ("network", "", "resnet34 resnet50"),
        ("loss_falls", "cats_vs_dogs", "resnet34 resnet50"),
        ("table", "", "plain34 resnet34 plain50 resnet50"),
    ]


def test_without_any_run_nothing_that_is_planned_is_decided(results):
    study = results(NETWORKS)
    study.status = dict.fromkeys(study.plan.experiments[0].architectures, "missing")
    assert study.statuses()[:3] == [UNDECIDED] * 3
    assert {row["remedy_kind"] for row in study.checks()} == {
        "finish_runs",
        "add_cells",
        "add_arms",
    }


def test_a_study_without_a_rubric_has_an_empty_table(results):
    study = results(NETWORKS.replace("rubric: graded\n", ""))
    assert study.table().empty


# The kinds of checks --------------------------------------------------------------------------


def test_network_wrong_counts_and_networks_without_a_run(results):
    study = results(NETWORKS, "{check: network, model: [resnet34, {kind: plain, depth: 50}]}")
    wrong = next(run for run in study.plan.runs.values() if run.model == "plain50")
    study.records[wrong.folder]["trainable_parameters"] += 1
    study.status = {"resnet34": "missing"}
    first, second = study.checks()
    assert (first["status"], first["remedy_kind"]) == (UNDECIDED, "finish_runs")
    assert (second["status"], second["remedy_kind"]) == (NOT_MET, "correct_network")
    assert second["count"] == second["of"] + 1
    assert second["value"] == second["threshold"]
    assert study.statuses() == [NOT_MET]


@pytest.mark.parametrize(
    ("spoil", "remedy"),
    [
        ({"loss": {"plain34": UNSTEADY}}, ""),
        ({"loss": {("resnet50", 1): UNSTEADY}}, "train_stably"),
        ({"status": {("resnet50", 1): "diverged"}}, "train_stably"),
        ({"status": {("resnet50", 1): "failed"}}, "finish_runs"),
        ({"loss": {"resnet50": FALLING[:2]}}, "train_longer"),
    ],
)
def test_loss_falls(results, spoil, remedy):
    study = results(NETWORKS, "{check: loss_falls, dataset: cats_vs_dogs, model: resnet50}")
    vars(study).update(spoil)
    (row,) = study.checks()
    assert (row["model"], row["remedy_kind"]) == ("resnet50", remedy)
    assert study.statuses() == [REMEDIES[remedy]]
    if remedy == "train_longer":
        assert row["needed"] == 3


def test_a_data_set_is_told_by_its_source(results):
    text = NETWORKS.replace("name: cats_vs_dogs", "name: cats_vs_dogs, source: cifar10")
    study = results(text, "{check: loss_falls, dataset: [cats_vs_dogs, cifar10], model: resnet34}")
    found = {(row["dataset"], row["remedy_kind"]) for row in study.checks()}
    assert found == {("cats_vs_dogs", ""), ("cats_vs_dogs", "add_cells")}
    (absent,) = [row for row in study.checks() if row["status"] == NOT_MET]
    assert absent["experiment"] == ""


@pytest.mark.parametrize(
    ("attribute", "values", "remedy", "measure"),
    [
        ("loss", {}, "", "change"),
        ("accuracy", TURNED, "", "change"),  # settled in the mean over the seeds
        ("accuracy", {"mixup": (0.1, 0.2, 0.3, 0.4, 0.5)}, "train_until_settled", "change"),
        ("accuracy", {"mixup": (0.2,) * 5}, "train_better", "val_accuracy_last"),
        ("chance", 0.9, "train_better", "val_accuracy_last"),
        ("loss", {("mixup", 1): (2.0, 2.0, 1.95, 1.9, 1.9)}, "train_better", "loss"),
        ("loss", {"mixup": FALLING[:3]}, "train_longer", ""),
        ("status", {("mixup", 0): "diverged"}, "train_stably", ""),
        ("status", {"mixup": "missing"}, "finish_runs", ""),
    ],
)
def test_converges(results, attribute, values, remedy, measure):
    study = results(ARMS, "{check: converges, model: {kind: residual}, augmentation: mixup}")
    setattr(study, attribute, values)
    (row,) = study.checks()
    assert (row["remedy_kind"], row["measure"]) == (remedy, measure)
    assert (row["needed"] == 4) is (remedy == "train_longer")


def test_an_idle_step_is_none_and_a_plain_network_is_not_residual(results):
    check = "{check: converges, model: {kind: residual}, augmentation: mixup}"
    idle = ARMS.replace("mixup: mixup", "mixup: mixup(probability=0)")
    for text in (idle, ARMS.replace("resnet20", "plain20")):
        assert results(text, check).statuses() == [NOT_MET]


def test_cells_with_the_same_runs_are_looked_at_once(results):
    again = ARMS.split("experiments:\n")[1].replace("  arms:", "  again:", 1)
    assert len(results(ARMS + again, "{check: converges, augmentation: cutmix}").checks()) == 1


TABLE = "{check: table, model: [plain34, resnet34, plain50, resnet50], metric: val_accuracy_last}"


@pytest.mark.parametrize(
    ("spoil", "remedies"),
    [
        ({"status": {("resnet34", 0): "failed"}}, {""}),  # by the seed that all have in common
        ({"status": {("resnet34", 0): "failed", ("plain50", 1): "missing"}}, {"finish_runs"}),
        ({"status": {"resnet34": "diverged"}}, {"train_stably"}),
        ({"loss": {"plain50": FALLING[:4]}}, {"", "train_equally"}),
    ],
)
def test_table(results, spoil, remedies):
    study = results(NETWORKS, TABLE)
    vars(study).update(spoil)
    rows = study.checks()
    assert len(rows) == 4
    assert {row["remedy_kind"] for row in rows} == remedies
    if remedies == {""}:
        assert [row["value"] for row in rows] == [0.9] * 4
        assert {(row["count"], row["of"], row["needed"]) for row in rows} == {(1, 2, 5)}


def test_the_arms_of_a_table_differ_in_nothing_else(results):
    study = results(NETWORKS.replace("plain50]", "{name: plain50, bias: true}]"), TABLE)
    (row,) = study.checks()
    assert (row["status"], row["remedy_kind"]) == (NOT_MET, "add_cells")


def test_a_table_of_augmentations(results):
    check = "{check: table, augmentation: [none, geometric, cutmix], metric: test_accuracy}"
    study = results(ARMS, check)
    assert [row["augmentation"] for row in study.checks()] == ["none", "flip", "cutmix"]
    assert study.statuses() == [MET]


@pytest.mark.parametrize(
    ("verdicts", "remedy"),
    [
        (("better", "worse", "worse"), ""),
        (("better", "better", "worse"), "compare_arms"),  # flip and cutmix were not compared
        (("open", "open", "open"), "add_seeds"),
        (("same", "same", "same"), "compare_arms"),
        (("better", "", ""), "compare_arms"),
    ],
)
def test_best_arm(results, verdicts, remedy):
    study = results(ARMS, "{check: best_arm, at_least: 3}")
    study.accuracy = {"flip": (0.95,) * 5, "cutmix": (0.85,) * 5, "mixup": (0.84,) * 5}
    arms = ("flip", "cutmix", "mixup")
    study.compare(*((arm, "none", one) for arm, one in zip(arms, verdicts, strict=True)), needed=7)
    (row,) = study.checks()
    assert (row["augmentation"], row["remedy_kind"]) == ("flip", remedy)
    assert study.statuses() == [REMEDIES[remedy]]
    if remedy == "add_seeds":
        assert row["needed"] == 7


def test_best_arm_equal_few_and_unfinished_arms(results):
    study = results(ARMS, "{check: best_arm}")
    study.accuracy = {"flip": (0.95,) * 5}
    study.compare(("flip", "none", "same"))
    study.compare(("cutmix", "flip", "same"), ("flip", "mixup", "same"), kinds="arm")
    assert study.checks()[0]["remedy_kind"] == "try_other_arms"
    study.compared.pop()
    study.compare(("flip", "mixup", "better"), kinds="arm budget")
    assert study.statuses() == [MET]
    study.status = {"mixup": "failed"}
    assert study.statuses() == [UNDECIDED]
    few = results(ARMS.replace(", mixup: mixup", ", idle: crop(0)"), "{check: best_arm}")
    (row,) = few.checks()
    assert (row["remedy_kind"], row["count"], row["needed"]) == ("add_arms", 2, 3)


COMPARISON = "{check: comparison, augmentation: [basic, cutmix, mixup]}"


def test_comparison_with_one_reference(results):
    study = results(ARMS, COMPARISON)
    study.compare(("flip", "none", "better"), ("cutmix", "none", "open"))
    (*_, last) = study.checks()
    assert (last["augmentation"], last["remedy_kind"]) == ("mixup", "compare_arms")
    study.compare(("mixup", "none", "worse"))
    first, *others = study.checks()
    assert (first["augmentation"], first["measure"]) == ("none", "reference")
    assert [row["value"] for row in others] == [0.01] * 3
    assert study.statuses() == [MET]
    study.status = {("cutmix", 1): "missing"}
    assert study.statuses() == [UNDECIDED]
    study.status = {("cutmix", 1): "diverged"}
    assert study.statuses() == [NOT_MET]


def test_comparison_that_has_to_be_decided(results):
    study = results(ARMS, COMPARISON.replace("}", ", decided: true}"))
    study.compare(("flip", "none", "better"), ("cutmix", "none", "open"), ("mixup", "none", "same"))
    assert study.statuses() == [UNDECIDED]
    (row,) = [row for row in study.checks() if row["status"] == UNDECIDED]
    assert (row["augmentation"], row["remedy_kind"], row["needed"]) == ("cutmix", "add_seeds", 3)


@pytest.mark.parametrize(
    "other", [{"kinds": "budget"}, {"measure": "nll"}, {"reference_model": "plain20"}]
)
def test_comparison_takes_arms_of_one_network_by_test_accuracy(results, other):
    study = results(ARMS, COMPARISON)
    study.compare(*((arm, "none", "better") for arm in ("flip", "cutmix", "mixup")))
    study.compared[0] |= other
    assert study.statuses() == [NOT_MET]


def test_arms_that_no_network_meets_side_by_side(results):
    study = results(ARMS.replace("flip: flip, ", ""), COMPARISON)
    (row,) = study.checks()
    assert (row["remedy_kind"], row["augmentation"]) == ("add_cells", "basic cutmix mixup")
    study = results(ARMS, "{check: pictures, augmentation: [basic, cutmix, rotation]}")
    assert [row["count"] for row in study.checks()] == [1, 1, 0]
    assert study.statuses() == [NOT_MET]


# A rubric of one's own, and the sentences -----------------------------------------------------

TEACHERS = """\
criteria:
  - question: Does a small network learn grey digits?
    checks:
      - {check: loss_falls, dataset: mnist5k, model: {depth: 8}, rise: 0.5, epochs: 4}
      - {check: converges, augmentation: none, loss: 0.5, change: 0.05}
  - question: Is the best colour augmentation named?
    checks:
      - {check: best_arm, augmentation: [geometric, colour], at_least: 2}
"""


def test_a_rubric_that_a_teacher_writes(results):
    text = ARMS.replace("[cifar10]", "[mnist5k]").replace("[resnet20]", "[resnet8]")
    text = text.replace("cutmix: cutmix", "bright: brightness(0.2)").replace(
        "epochs: 5", "epochs: 3"
    )
    study = results(text, rubric=TEACHERS)
    study.loss = dict.fromkeys(("none", "flip", "bright", "mixup"), (2.0, 1.0, 0.5))
    assert study.statuses() == [UNDECIDED, NOT_MET]
    assert {row["needed"] for row in study.checks() if row["status"] == UNDECIDED} == {4}
    assert study.checks()[-1]["remedy_kind"] == "compare_arms"


class Words(dict):
    """A row as the report's templates get it."""

    __getattr__ = dict.__getitem__

    def __or__(self, other):
        return Words({**self, **other})


@pytest.fixture
def macros():
    """The macros of the report, with filters like its own."""
    environment = Environment(
        loader=PackageLoader("ablation.report"), undefined=StrictUndefined, trim_blocks=True
    )
    for name, form in {
        "percent": lambda x: f"{100 * x:.1f}", "points": lambda x: f"{100 * x:+.1f}",
        "count": lambda x: f"{int(x):,}", "number": lambda x: f"{x:.2f}",
    }.items():  # fmt: skip
        environment.filters[name] = form
    environment.filters["upper_first"] = str.capitalize
    environment.tests["known"] = lambda value: not pd.isna(value)
    environment.globals["metric"] = lambda name: Words(title=name, unit="share")
    return environment.get_template("rubric.md.j2").module


def test_each_remedy_has_a_sentence(macros):
    row = Words(dict.fromkeys(COLUMNS, "x"), needed=3)
    told = {macros.remedy(row | {"remedy_kind": kind}) for kind in REMEDIES if kind}
    assert len(told) == len(REMEDIES) - 1


@pytest.mark.parametrize(
    ("text", "spoil", "told"),
    [
        (NETWORKS, {}, "resnet34 on cats_vs_dogs has 21,306,826 parameters, 21,289,802 of them"),
        (NETWORKS, {"loss": {"resnet50": UNSTEADY}}, "falls steadily in 0 of 2 runs; the largest"),
        (NETWORKS, {"loss": {"resnet50": FALLING[:2]}}, "for at least 3 epochs."),
        (NETWORKS, {}, "Add an experiment with a network of kind residual and with cutmix."),
        (NETWORKS, {"loss": {"plain34": FALLING[:4]}}, "(mean of 2 seeds, fewer epochs than"),
        (NETWORKS, {"status": {"resnet34": "missing"}}, "No run of resnet34 on cats_vs_dogs has"),
        (ARMS, {}, "Add an experiment on cats_vs_dogs with resnet34 and resnet50."),
        (ARMS, {}, "resnet20 · cutmix on cifar10 has converged: at the end of training,"),
        (ARMS, {"status": {"mixup": "missing"}}, "0 of 2 runs finished."),
        (ARMS, {}, "The gallery shows basic augmentation (1 arm)."),
        (ARMS, {"chance": 0.9}, "little more than chance (90.0 %)."),
        (ARMS, {"accuracy": {"flip": (0.95,) * 5}}, "flip is the best augmentation of resnet20"),
    ],
)
def test_sentences(results, macros, text, spoil, told):
    study = results(text)
    study.compare(("flip", "none", "better"), ("cutmix", "none", "worse"))
    study.compare(("mixup", "none", "worse"))
    vars(study).update(spoil)
    sentences = []
    for row in map(Words, study.checks()):
        sentences += [macros.evidence(row), *([macros.remedy(row)] if row.remedy_kind else [])]
    for sentence in sentences:
        assert re.fullmatch(r"\S.*\.", sentence), sentence
        assert "  " not in sentence and "nan" not in sentence, sentence
    assert any(told in sentence for sentence in sentences), sentences
