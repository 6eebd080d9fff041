import hashlib
import json
import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest

from ablation.augmentation.parsing import parse_pipeline
from ablation.errors import InputError
from ablation.study.plan import load_config, load_plan
from ablation.study.plan_file import plan_digest, read_plan, write_plan
from ablation.training.settings import RunSettings

STUDY = """\
title: A study
experiments:
  first:
    question: Which?
    datasets: [mnist5k]
    models: [resnet20, plain20]
    augmentations: {none: "", mix: crop(2) | cutmix}
    seeds: [0, 1]
    training: {epochs: 5, learning_rate: 0.1}
"""


def plan_of(project, text=STUDY):
    project(text)
    return load_plan(load_config())


def message_of(project, text):
    with pytest.raises(InputError) as caught:
        plan_of(project, text)
    return str(caught.value)


def test_nothing_is_held_out_where_the_test_split_serves_for_validation(project):
    (held,) = plan_of(project).data.values()
    (bare,) = plan_of(project, STUDY + "    validation: test\n").data.values()
    assert (held.settings.held_out, bare.settings.held_out) == (0.1, 0)
    assert held.settings == bare.settings.model_copy(update={"held_out": 0.1})
    assert held.folder != bare.folder
    assert held.id == "4ff6cf4f"  # as it has always been


def test_the_grid_is_the_full_product(project):
    plan = plan_of(project)
    assert len(plan.runs) == 2 * 2 * 2
    run = next(iter(plan.runs.values()))
    assert run.folder == f"results/runs/mnist5k/resnet20/none/seed-0-{run.id}"


def test_identity_is_the_hash_of_the_settings(project):
    run = next(iter(plan_of(project).runs.values()))
    text = run.settings.json_text
    assert run.id == hashlib.sha256(text.encode()).hexdigest()[:8]
    assert RunSettings.model_validate_json(text) == run.settings
    keys = {"dataset", "model", "augmentation", "training", "validation", "seed", "threads"}
    assert set(json.loads(text)) == keys


def test_a_cell_has_a_run_for_each_of_its_seeds(project):
    runs = plan_of(project, STUDY.replace("[0, 1]", "[3, 1, 7]")).runs.values()
    cell = [run for run in runs if run.cell == ("mnist5k", "plain20", "mix")]
    assert [run.seed for run in cell] == [3, 1, 7]
    assert [json.loads(run.settings.json_text)["seed"] for run in cell] == [3, 1, 7]


def test_a_plan_is_the_same_after_its_file_is_read(project):
    text = STUDY.replace("    seeds:", "    baseline: {model: resnet20}\n    seeds:") + (
        "    comparisons: [{kind: factor, factors: [shortcut, augmentation]}]\n"
        "    overrides: [{where: {model: plain20}, training: {learning_rate: 0.05}}]\n"
    )
    plan = plan_of(project, text)
    write_plan(plan, Path("plan.json"))
    read = read_plan(Path("plan.json"))
    assert read == plan
    assert list(read.runs) == list(plan.runs)
    assert plan_digest(read) == plan_digest(plan)
    Path("plan.json").write_text("{}")
    with pytest.raises(InputError, match=r"plan\.json: cannot be read"):
        read_plan(Path("plan.json"))


@pytest.mark.parametrize(
    ("old", "new", "same"),
    [
        ("title: A study", "title: Another study", False),
        ("title: A study", "title: A study\nmargin: 2", False),
        ("question: Which?", "question: Which one?", False),
        ("seeds:", "baseline: {model: resnet20}\n    seeds:", False),
        ("crop(2)", "crop(1)", False),
        ("crop(2) | cutmix", "crop(padding=2)|cutmix()", True),
        ("title: A study", "# a comment\ntitle: 'A study'", True),
        ("seeds:", "keep_weights: true\n    seeds:", True),
    ],
)
def test_the_digest_of_a_plan_changes_with_what_the_analysis_reads(project, old, new, same):
    before = plan_digest(plan_of(project))
    assert (plan_digest(plan_of(project, STUDY.replace(old, new))) == before) is same


def test_identity_does_not_depend_on_how_it_is_written(project):
    before = set(plan_of(project).runs)
    again = STUDY.replace("crop(2) | cutmix", "crop(padding=2)|cutmix(alpha=1)")
    again = again.replace("learning_rate: 0.1", "momentum: 0.9, learning_rate: 1e-1")
    assert set(plan_of(project, "# a comment\n" + again).runs) == before


@pytest.mark.parametrize(
    ("old", "new", "changed"),
    [
        ("epochs: 5", "epochs: 6", 8),
        ("crop(2)", "crop(3)", 4),
        ("plain20]", "{name: plain20, width: 8}]", 4),
        ("seeds: [0, 1]", "seeds: [0, 2]", 4),
        ("[mnist5k]", "[{name: mnist5k, limit: 100}]", 8),
        ("seeds:", "validation: test\n    seeds:", 8),
    ],
)
def test_an_edit_makes_new_runs_and_leaves_the_others(project, old, new, changed):
    before = set(plan_of(project).runs)
    after = set(plan_of(project, STUDY.replace(old, new)).runs)
    assert len(after - before) == changed
    assert len(before & after) == 8 - changed


@pytest.mark.parametrize("final", [2, 5])
def test_a_final_number_of_seeds_changes_no_run(project, final):
    before = plan_of(project)
    after = plan_of(project, STUDY.replace("[0, 1]", f"[0, 1]\n    final_seeds: {final}"))
    assert after.experiments[0].block.final_seeds == final
    assert list(after.runs) == list(before.runs)
    assert [run.settings for run in after.runs.values()] == [
        run.settings for run in before.runs.values()
    ]
    assert plan_digest(after) != plan_digest(before)  # but the analysis


NARRATIVE = "    narrative: texts/grid.md.j2\n    seeds:"


def test_a_narrative_changes_the_report_and_no_run(project):
    before = plan_of(project)
    file = Path("config/studies/texts/grid.md.j2")
    file.parent.mkdir()
    file.write_text("Depth.")
    text = STUDY.replace("    seeds:", NARRATIVE)
    plan = plan_of(project, text)
    assert plan.experiments[0].narrative == str(file)
    assert list(plan.runs) == list(before.runs)
    assert plan_digest(plan) != plan_digest(before)
    file.write_text("Depth hurts.")  # read by the report alone
    assert plan_digest(plan_of(project, text)) == plan_digest(plan)


@pytest.mark.parametrize("make", [lambda file: None, lambda file: file.mkdir(parents=True)])
def test_a_narrative_that_is_not_there_is_refused(project, make):
    make(Path("config/studies/texts/grid.md.j2"))
    with pytest.raises(InputError, match=r"tiny.yaml:\d+:\d+: .*narrative: file .* not found"):
        plan_of(project, STUDY.replace("    seeds:", NARRATIVE))


def test_a_narrative_that_snakemake_cannot_take_is_refused(project):
    Path("config/studies/{x}.md").touch()
    with pytest.raises(InputError, match=r"narrative: .*Snakemake does not accept paths with"):
        plan_of(project, STUDY.replace("    seeds:", '    narrative: "{x}.md"\n    seeds:'))


@pytest.mark.parametrize("path", ["{x}", "w{dataset}.h5", "-w.h5", " w.h5"])
def test_weights_that_snakemake_cannot_take_are_refused(project, path):
    Path(path).touch()
    model = f"{{name: p, architecture: plain20, weights: '{path}'}}"
    assert f"weights: {path!r}: Snakemake" in message_of(project, STUDY.replace("plain20", model))


def test_settings_are_written_once_with_anchors_and_merge_keys(project):
    second = """\
  second:
    <<: *first
    question: And with cosine decay?
    training: {<<: *training, schedule: cosine}
"""
    text = STUDY.replace("first:", "first: &first").replace("{epochs", "&training {epochs")
    runs = [e.runs[0] for e in plan_of(project, text + second).experiments]
    assert [run.settings.training.schedule for run in runs] == ["constant", "cosine"]
    assert {run.settings.training.epochs for run in runs} == {5}
    broken = text.replace("epochs: 5", "epochs: 0") + second
    assert message_of(project, broken).startswith("config/studies/tiny.yaml:9:26: experiments.")


def test_threads_belong_to_the_identity_and_the_data_folder_does_not(project):
    project(STUDY)
    before = set(load_plan(load_config()).runs)
    assert set(load_plan(load_config({"data_dir": "/elsewhere"})).runs) == before
    assert not set(load_plan(load_config({"threads": 3})).runs) & before


def test_overrides_and_exclusions(project):
    text = STUDY + (
        "    overrides:\n"
        "      - {where: {model: plain20}, training: {learning_rate: 0.05}}\n"
        "      - {where: {model: [plain20], augmentation: mix}, training: {learning_rate: 0.01}}\n"
        "    exclude: [{model: resnet20, augmentation: mix}]\n"
    )
    runs = plan_of(project, text).runs.values()
    assert len(runs) == 6
    rates = {(r.model, r.augmentation): r.settings.training.learning_rate for r in runs}
    assert rates == {
        ("resnet20", "none"): 0.1,
        ("plain20", "none"): 0.05,
        ("plain20", "mix"): 0.01,
    }


def test_experiments_share_runs(project):
    second = STUDY.split("experiments:\n")[1].replace("first:", "second:").replace("[0, 1]", "[0]")
    plan = plan_of(project, STUDY + second)
    assert len(plan.runs) == 8
    assert [len(e.runs) for e in plan.experiments] == [8, 4]


@pytest.mark.parametrize(
    ("old", "new", "place", "message"),
    [
        ("resnet20", "resent20", "6:14: experiments.first.models[0]", "did you mean 'resnet20'?"),
        ("epochs", "epoch", "9:16: experiments.first.training.epoch", "did you mean 'epochs'?"),
        ("epochs: 5", "epochs: 0", "training.epochs", "greater than or equal to 1, not 0"),
        ("epochs: 5", "epochs: 5.5", "training.epochs", "valid integer, not 5.5"),
        ("epochs: 5", 'epochs: "5"', "training.epochs", "valid integer, not '5'"),
        ("epochs: 5", "epochs: true", "training.epochs", "valid integer, not True"),
        ("epochs: 5, ", "", "9:5: experiments.first.training.epochs", "Field required"),
        ('""', "", "7:21: experiments.first.augmentations.none", "valid string, not None"),
        ('""', "flop", "augmentations.none", "did you mean 'flip'?"),
        ('""', "hue(0.1)", "augmentations.none", "grey"),
        ("[mnist5k]", "[cifar11]", "5:16: experiments.first.datasets[0]", "did you mean 'cifar10"),
        ("[mnist5k]", "[{name: m, source: x/../y}]", "datasets[0].source", "not a source"),
        ("[0, 1]", "[0, 0]", "8:16: experiments.first.seeds[1]", "duplicate '0'"),
        ("[0, 1]", "[]", "seeds", "at least 1 item"),
        ("[0, 1]", "[-1]", "seeds[0]", "greater than or equal to 0"),
        (
            "[0, 1]",
            "[0, 1]\n    final_seeds: 1",
            "9:5: experiments.first.final_seeds",
            "is 1, but seeds names 2: give 2 or more",
        ),
        (
            "[0, 1]",
            "[0, 1]\n    final_seeds: 0",
            "final_seeds",
            "greater than or equal to 1, not 0",
        ),
        ("[0, 1]", "[0, 1]\n    final_seeds: 1001", "final_seeds", "1000, not 1001"),
        ("[0, 1]", "[0, 1]\n    final_seeds: 2.0", "final_seeds", "valid integer, not 2.0"),
        ("first:", "a b:", "experiments.a b", "is not a name"),
        ("none:", "../up:", "augmentations", "is not a name"),
        ("none:", "none: flip, none:", "7:33", "duplicate key 'none' (first in line 7)"),
        ("crop(2) | cutmix", '""', "augmentations.mix", "'none' and 'mix' are the same"),
        ("plain20", "{name: p, architecture: resnet20}", "models[1]", "are the same"),
        ("plain20", "{name: plain20, widht: 8}", "models[1].widht", "did you mean 'width'?"),
        ("plain20", "resnet20", "models[1]", "duplicate 'resnet20'"),
        (
            "plain20",
            "{name: p, architecture: plain20, weights: no.h5}",
            "models[1]",
            "file 'no.h5' not found",
        ),
        ("crop(2) | cutmix", '"crop(28, fill=reflect)"', "augmentations.mix", "28"),
        ("question: Which?", "question: 3", "question", "valid string, not 3"),
        ("seeds:", "baseline: {model: resnet2}\n    seeds:", "baseline.model", "'resnet20'?"),
        ("seeds:", "baseline: {}\n    seeds:", "baseline", "is empty"),
        ("seeds:", "baseline: {dataset: mnist5k}\n    seeds:", "baseline.dataset", "unknown key"),
        (
            "seeds:",
            "overrides: [{where: {seed: 1}, training: {epochs: 2}}]\n    seeds:",
            "overrides[0].where.seed",
            "must not differ between the seeds of a cell",
        ),
        (
            "[mnist5k]",
            '[{name: m, source: "mnist5k:9.9.9"}]',
            "datasets[0]",
            "no configs or versions",
        ),
        (
            "plain20",
            "{name: p, architecture: plain20, weights: " + 300 * "x" + "}",
            "models[1]",
            "not found",
        ),
        ("plain20", "resnet50-pretrained", "models[1]", "needs images with 3 channels, not 1"),
        ("plain20", "{name: p, architecture: plain20, width: 9999}", "models[1].width", "4096"),
        ("crop(2) | cutmix", '"\\e[31mflip\\n"', "augmentations.mix", "\\x1b"),
        ("seeds:", "baselin: {}\n    seeds:", "8:5: experiments.first.baselin", "'baseline'?"),
        ("seeds:", "exclude: [{seed: [0, 1]}]\n    seeds:", "exclude", "excludes every cell"),
        ("seeds:", "exclude: [{sed: 0}]\n    seeds:", "exclude[0].sed", "did you mean 'seed'?"),
        (
            "seeds:",
            "overrides: [{where: {model: plain20}, training: {schedule: cosin}}]\n    seeds:",
            "overrides[0].training.schedule",
            "did you mean 'cosine'?",
        ),
        (
            "seeds:",
            "overrides: [{where: {model: plain20}, training: {warmup_epochs: 5}}]\n    seeds:",
            "overrides",
            "warmup_epochs must be less than epochs",
        ),
        ("seeds:", '"a\\nb": 1\n    seeds:', "experiments.first.a\\nb", "unknown key 'a\\nb'"),
        ("A study", '"a\\a"', "1:1: title", "contains the control character '\\x07'"),
        ("A study", '" "', "1:1: title", "must not be blank"),
        ("first:", "a" * 81 + ":", "3:3: experiments.aaa", "has at most 80 characters"),
        ("epochs: 5", "epochs: 5, min_delta: 1", "training.min_delta", "unknown key 'min_delta'"),
        ("0.1}", "0.1, clip_norm: .inf}", "training.clip_norm", "should be a finite number"),
        ("[0, 1]", str(list(range(2501))), "experiments.first", "its grid has 10,004 runs"),
        ("title", "a: {<<: 1}\ntitle", "1:9", "expected a mapping or list of mappings"),
        (STUDY, "title: x\nexperiments: {}\n", "the file", "has no experiments: give"),
        (STUDY, "", "1:1", "must hold keys and values"),
        (STUDY, "[1]", "1:1", "must hold keys and values"),
    ],
)
def test_a_mistake_is_told_with_its_place_and_the_nearest_right_name(
    project, old, new, place, message
):
    assert old in STUDY
    told = message_of(project, STUDY.replace(old, new, 1))
    assert told.startswith("config/studies/tiny.yaml:")
    assert place in told
    assert message in told
    assert "\n" not in told


def test_an_unknown_study_names_the_nearest(project):
    project(STUDY)
    with pytest.raises(
        InputError, match=r"config/studies/tinny.yaml not found; did you mean 'tiny'"
    ):
        load_plan(load_config({"study": "tinny"}))


@pytest.mark.parametrize("name", ["../tiny", "a/b", "", ".hidden", "a b", "$(x)"])
def test_a_study_name_is_no_path(project, name):
    with pytest.raises(InputError, match="is not a name"):
        load_config({"study": name})


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("example", "reports/example holds the example report"),
        ("bench", "results/bench holds the benchmark of the speed"),
        ("archive", "results/archive holds exported results"),
        ("runs", "results/runs holds runs"),
    ],
)
def test_a_study_that_would_overwrite_something_else_is_refused(project, name, reason):
    project(STUDY, name=name)
    with pytest.raises(InputError, match=f"study '{name}': {reason}; give the study another name"):
        load_plan(load_config({"study": name}))


def test_a_study_named_by_a_number(project):
    project(STUDY, "2024")
    assert load_plan(load_config({"study": 2024})).name == "2024"


@pytest.mark.parametrize("number", [7, 1.1])
def test_a_number_that_names_no_study(project, number):
    with pytest.raises(InputError, match="looks like a number"):
        load_config({"study": number})


def test_the_config_is_checked_too(project, tmp_path):
    (tmp_path / "config/config.yaml").write_text("study: tiny\nthread: 2\n")
    with pytest.raises(InputError, match=r"config.yaml:2:1: thread: .*did you mean 'threads'"):
        load_config()


@pytest.mark.parametrize("key", [None, True, 3, 1.5, date(2024, 1, 2), b"study"])
def test_a_key_of_a_configfile_is_text(project, key):
    """Snakemake reads the file of ``--configfile`` and accepts any scalar as a key."""
    project(STUDY)
    with pytest.raises(InputError, match=r"^--config: a key must be text, not ") as error:
        load_config({key: 1})
    assert repr(key) in str(error.value)


NAMED = STUDY + "pipelines:\n  basic: flip | crop(2)\n  both: basic | cutmix\n"


@pytest.mark.parametrize(
    ("given", "resolved"),
    [
        ("[none, both, flip]", {"none": "", "both": "flip | crop(2) | cutmix", "flip": "flip"}),
        ("{none: none, a: basic | clip}", {"none": "", "a": "flip | crop(2) | clip"}),
    ],
)
def test_named_pipelines_are_used_like_steps(project, given, resolved):
    plan = plan_of(project, NAMED.replace('{none: "", mix: crop(2) | cutmix}', given))
    expected = {label: parse_pipeline(text) for label, text in resolved.items()}
    assert plan.experiments[0].pipelines == expected


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (
            "basic: flip | crop(200)",
            r"pipelines.basic: crop\(200\): padding must be a whole",
        ),
        ("basic: both", r"pipelines.basic: .*'basic' uses itself: basic → both → basic"),
        ("basic: flp", r"pipelines.basic: unknown step 'flp'; did you mean 'flip'"),
        ("basic: both(2)", r"pipelines.basic: 'both' is a named pipeline and takes no parameters"),
        ("my-basic: flip", r"pipelines.my-basic: 'my-basic' is not an identifier: use letters"),
        ("if: flip", r"pipelines.if: 'if' is not an identifier"),
        ("crop: flip", r"pipelines.crop: 'crop' is the name of a step; choose another name"),
        ("none: flip", r"pipelines.none: 'none' is the name of a step"),
    ],
)
def test_wrong_named_pipelines_are_refused(project, wrong, message):
    line = NAMED[: NAMED.index("basic:")].count("\n") + 1
    with pytest.raises(InputError, match=rf"tiny.yaml:{line}:3: {message}"):
        plan_of(project, NAMED.replace("basic: flip | crop(2)", wrong))


def test_a_mistake_is_told_without_tensorflow_and_within_three_seconds(project):
    project(STUDY.replace("epochs", "epoch"))
    code = (
        "import sys\nfrom ablation.study.plan import *\n"
        "try:\n    load_plan(load_config())\n"
        "except InputError:\n    print(sorted({'tensorflow', 'keras'} & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=3, check=True
    )
    assert done.stdout == "[]\n"
