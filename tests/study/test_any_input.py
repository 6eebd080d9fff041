"""Any study or configuration file gives a plan or one message, and never a traceback."""

import copy
import json
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ablation.data.sources.tfds import known_names
from ablation.errors import InputError
from ablation.study.plan import load_config, load_plan
from ablation.training.settings import RunSettings

FILE = "config/studies/tiny.yaml"
STUDY = {
    "title": "Which?",
    "margin": 0.5,
    "experiments": {
        "first": {
            "question": "Does it?",
            "datasets": [{"name": "digits", "source": "mnist5k", "limit": 100}],
            "models": [{"name": "small", "architecture": "resnet8", "width": 4}, "plain8"],
            "augmentations": {"none": "", "both": "crop(2) | cutmix(alpha=1)"},
            "seeds": [0, 1],
            "baseline": {"augmentation": "none"},
            "training": {"epochs": 2, "step_at": [0.5], "early_stopping": {"patience": 2}},
            "overrides": [{"where": {"model": "small"}, "training": {"epochs": 3}}],
            "exclude": [{"model": "plain8", "seed": 1}],
            "claims": {"said": {"text": "It helps.", "source": "Somebody"}},
            "comparisons": [
                {"kind": "arm", "arm": {"augmentation": "both"}, "claim": "said",
                 "reference": {"augmentation": "none"}, "says": "better"},
                {"kind": "factor", "factors": ["shortcut", "augmentation"]},
            ],
        }
    },
}  # fmt: skip
TEXTS = [
    "", " ", "../up", "a b", "{x}", "-rf", "\x1b", "\u202e", "日本", "a" * 81, "none", "flip",
    "crop(-1)", "crop(1e999)", "resnet20", "mnist5k", "cutmix", "cosine", "same", "budget", "first",
]  # fmt: skip
RAW = [
    ".inf", "1e999", "9" * 400, "2024-01-01", "&a [*a]", "*a", "!mine 3", "!!int x", "!!set {a}",
    '"\\ud800"', '"\\U99999999"', "{<<: 1}", "{<<: {epochs: 1}}", "{1: 2}", "[", "'", "@", "- x",
    "%YAML 1.1", "#", "? ", "|", "=",
]  # fmt: skip
RAW_MARK = "raw:"

scalars = (
    st.sampled_from(TEXTS)
    | st.text(max_size=10)
    | st.integers(-2, 50)
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.booleans()
    | st.none()
    | st.sampled_from(RAW).map(RAW_MARK.__add__)
)
keys = st.sampled_from(["name", "source", "path", "limit", "kind", "seed"]) | st.text(max_size=5)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3),
    max_leaves=4,
)
quick = settings(
    max_examples=150,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)


def as_yaml(data):
    """A document as JSON, which is YAML, with the raw texts as they are."""
    text = json.dumps(data, indent=1, ensure_ascii=False)
    for raw in RAW:
        text = text.replace(json.dumps(RAW_MARK + raw), raw)
    return text


def places(data):
    """Every container of a document with each of its keys or indices."""
    for key in data if isinstance(data, dict) else range(len(data)):
        yield data, key
        if isinstance(data[key], dict | list):
            yield from places(data[key])


@st.composite
def changed(draw):
    """The text of the study, changed at one or two places."""
    study = copy.deepcopy(STUDY)
    for _ in range(draw(st.integers(1, 2))):
        holder, key = draw(st.sampled_from(list(places(study))))
        action = draw(st.sampled_from(["replace", "replace", "delete", "add"]))
        if action == "replace":
            holder[key] = draw(values)
        elif action == "delete":
            del holder[key]
        elif isinstance(holder, dict):
            holder[draw(keys)] = draw(values)
        else:
            holder.insert(key, draw(values))
    return as_yaml(study)


@st.composite
def damaged(draw):
    """The text of the study, cut short or with a text put into it."""
    text = as_yaml(STUDY)
    at = draw(st.integers(0, len(text)))
    inserted = draw(st.sampled_from(RAW) | st.text(max_size=8))
    return text[:at] + draw(st.sampled_from(["", inserted + text[at:]]))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("project")
    (folder / "config/studies").mkdir(parents=True)
    before = Path.cwd()
    os.chdir(folder)
    known_names(None)  # imports TensorFlow Datasets
    yield folder
    os.chdir(before)


def write(study, config="study: tiny\n"):
    Path(FILE).write_text(study, encoding="utf-8", errors="surrogatepass")
    Path("config/config.yaml").write_text(config, encoding="utf-8", errors="surrogatepass")


def outcome(given_on_command_line=None):
    """The message with which the study is refused; of a plan, None."""
    try:
        plan = load_plan(load_config(given_on_command_line))
    except InputError as error:
        assert str(error).isprintable()
        return str(error)
    assert plan.runs
    for run in plan.runs.values():
        assert RunSettings.model_validate_json(run.settings.json_text) == run.settings
        for path in (run.folder, run.data.folder):
            assert os.path.normpath(path) == path
            assert path.startswith("results/")
    return None


def test_the_study_itself_is_right(folder):
    write(as_yaml(STUDY))
    assert outcome() is None


@quick
@given(changed() | damaged() | st.text(max_size=60) | values.map(as_yaml))
def test_any_study_gives_a_plan_or_one_message(folder, text):
    write(text)
    message = outcome()
    assert message is None or message.startswith(f"{FILE}:")


@quick
@given(st.dictionaries(st.sampled_from(["study", "threads", "data_dir", "prune"]), values))
def test_any_config_gives_a_plan_or_one_message(folder, config):
    write(as_yaml(STUDY), as_yaml(config))
    message = outcome({} if "study" in config else {"study": "tiny"})
    assert message is None or message.startswith(("config/config.yaml:", "--config:", "study "))


@pytest.mark.parametrize("number", [12345678, 1234.0])
def test_an_id_that_looks_like_a_number_has_to_be_quoted(folder, number):
    write(as_yaml(STUDY))
    assert "--config 'recheck=\"" in outcome({"recheck": number})


def test_without_a_config_the_default_study_runs(folder):
    Path("config/config.yaml").unlink(missing_ok=True)
    assert load_config().study == "quickstart"
