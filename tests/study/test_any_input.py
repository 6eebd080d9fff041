"""Whatever a study or configuration file holds, it is either resolved or refused in one line.

Valid studies are changed at random places, as trees and as text, and resolved as the workflow
does it. HYPOTHESIS_PROFILE=thorough tries many more.
"""

import ast
import json
import os
import re
import time
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from ablation.data.files_digest import files_digest
from ablation.data.sources.tfds import known_names
from ablation.errors import InputError
from ablation.study.fingerprint import (
    gallery_request,
    models_request,
    plan_digest,
    request_digest,
)
from ablation.study.grid import canonical_json
from ablation.study.loading import read_yaml
from ablation.study.plan import load_config, load_plan

from ..conftest import ROOT, tracked

SECONDS = 6  # of computing; the worst take two here
MESSAGE = 2500  # characters
FILE_NAME = 255  # bytes, of every file system in use

COMMON = {
    "derandomize": True,
    "database": None,
    "deadline": None,  # the time of computing is checked instead
    "suppress_health_check": list(HealthCheck),
}
PROFILE = os.environ.get("HYPOTHESIS_PROFILE", "quick")
EXAMPLES = {"quick": 1, "thorough": 50}[PROFILE]


def trying(examples):
    return settings(max_examples=examples * EXAMPLES, **COMMON)


# Studies as trees ---------------------------------------------------------------------------

SMALL = {
    "title": "Which of them?",
    "description": "Some words.",
    "margin": 0.5,
    "experiments": {
        "own": {
            "question": "Do they?",
            "datasets": [
                {"name": "photos", "source": "image_folder", "path": "photos", "image_size": 16},
                {"name": "listed", "source": "csv", "path": "listed.csv"},
            ],
            "models": [
                {"name": "small", "architecture": "resnet20", "width": 4, "weights": "w.h5"},
                "plain20",
            ],
            "augmentations": {"none": "", "both": "crop(2) | cutmix(alpha=1)"},
            "seeds": [0, 1],
            "baseline": {"augmentation": "none"},
            "training": {
                "epochs": 2,
                "batch_size": 8,
                "schedule": "step",
                "step_at": [0.5],
                "early_stopping": {"patience": 2},
            },
            "overrides": [{"where": {"model": "small"}, "training": {"epochs": 3}}],
            "exclude": [{"model": "plain20", "seed": 1}],
            "claims": {"said": {"text": "It helps.", "source": "Somebody"}},
            "comparisons": [
                {
                    "kind": "arm",
                    "arm": {"augmentation": "both"},
                    "reference": {"augmentation": "none"},
                    "claim": "said",
                    "says": "better",
                }
            ],
        },
        "digits": {
            "question": "And with digits?",
            "datasets": [{"name": "mnist5k", "limit": 100, "train_share": 0.5}],
            "models": ["resnet8", "plain8", "resnet14", "plain14"],
            "augmentations": {"none": ""},
            "seeds": [0],
            "training": {"epochs": 2, "batch_size": 8},
            "keep_weights": True,
            "comparisons": [{"kind": "factor", "factors": ["depth", "shortcut"]}],
        },
    },
}
STUDIES = [SMALL, SMALL] + [read_yaml(file).data for file in tracked("config/studies/*.yaml")]
CONFIG = {"study": "tiny", "data_dir": None, "threads": 2, "environment": "cpu", "prune": "list"}


class Raw(str):
    """Text that stands in the file as it is."""


class Pairs(list):
    """The keys and values of a mapping, in which a key may stand twice."""


def as_tree(data):
    if isinstance(data, dict):
        return Pairs([key, as_tree(value)] for key, value in data.items())
    return [as_tree(item) for item in data] if isinstance(data, list) else data


def as_yaml(tree):
    if isinstance(tree, Raw):
        return str(tree)
    if isinstance(tree, Pairs):
        return "{" + ",\n".join(f"{as_yaml(key)}: {as_yaml(value)}" for key, value in tree) + "\n}"
    if isinstance(tree, list):
        return f"[{', '.join(map(as_yaml, tree))}]"
    return quoted(tree) if isinstance(tree, str) else json.dumps(tree)


def quoted(text):
    return (
        '"'
        + "".join(
            one if one.isprintable() and one not in '"\\' else f"\\U{ord(one):08x}" for one in text
        )
        + '"'
    )


NASTY = [
    "", " ", "..", ".", "../../etc/passwd", "a/b", "a/../../b", "~", "~nosuchuser/x", "-rf", "-",
    "$(touch pwned)", "`touch pwned`", "; touch pwned;", "|", "&& touch pwned", "${HOME}", "%s%n",
    "{input}", "{x}", "{}", "{{x}}", "{wildcards.model}", "'", '"', "'\"'", "\\", "a b", "a\nb",
    "a\tb", "\r\n", "\0", "\x1b[2J", "\x7f", "\x85", "\u2028", "\u202e", "\ufeff", "\ud800",
    "\ufffe", "日本語", "Ünïcödé", "عربى", "🧪", "e\u0301", "İ", "ﬁ", "٣", "²", "None", "null",
    "true", "False", "NaN", "1e999", "0x10", "007", "__import__('os')", "!!python/name:os.system",
    "<script>alert(1)</script>", "a" * 80, "a" * 81, "a" * 300, "a" * 5000,
    "x/" * 400, "é" * 400, "con", "a.", "a..b", "A+B_c-d.e", "0", "-1", "imagenet", "w.h5",
    "photos", "listed.csv", "missing", "pipe", "pipe.csv", "dangling", "folder.yaml", "loop",
    "odd.csv", "odd", "/dev/zero", "/dev/null", "photos/none/0.png",
]  # fmt: skip
PIPELINES = [
    "flip", "crop(2)", "crop(-1)", "crop(128)", "crop(1e999)", f"crop({'9' * 900})", "crop(nan)",
    "rotation(15) | flip", "cutmix(alpha=-0)", "flip(((", "flip | | flip", "|", "flip()", "hue(.1)",
    "crop(padding=2, padding=3)", "notebook2-augmentation", "none | none", "none()", "flip " * 300,
    "flip|" * 30 + "flip", "crop(__import__)", "crop(٣)", "flip\0", "flip ; rm", "cutmix(box=$x)",
    "label-smoothing(1)", "random-crop", "random-resized-crop", "random-resized-crop | random-crop",
    "translation(1e-320, 0)", "brightness(0.2) | contrast(1.3, 0.7)", "mixup(partner=first-pair)",
]  # fmt: skip
RIGHT = [
    "none", "flip", "crop(1)", "rotation(15) | flip", "label-smoothing", "resnet8", "plain20",
    "resnet32", "mnist5k", "cosine", "step", "stretch", "pad", "bfloat16", "skip", "drop", "test",
    "a" * 80, "A+B_c-d.e", "a..b", "0", "cutmix", "same", "better", "budget", "arm", "resnet50",
]  # fmt: skip
RAW = [
    ".nan", ".inf", "-.inf", "1e999", "-1e999", "~", "0x" + "f" * 4000, "0x" + "f" * 5000,
    "9" * 4000, "9" * 5000, "-" + "9" * 400, "1" + "0" * 350, "1e308", "1e-320", "0o17", "1_000",
    "0b1", "!!python/object/apply:os.system ['touch pwned']", "!!python/name:os.system ''",
    "!!binary aGVsbG8=", "!!set {a, b}", "!!omap [a: 1]", "!!str 5", "!!int '5'", "!!int five",
    "!!float x", "!!bool maybe", "!!null x", "!!timestamp x", "!mine 3", "! 3", "&a 1", "*a", "*b",
    "&a [*a]", "{<<: {a: 1}}", "{<<: *a}", "{? [1] : 2}", "{? {a: 1} : 2}", "2024-01-01",
    "12:30:00", "on", "yes", "[" * 60 + "]" * 60, "[" * 3000, "{a: " * 60 + "1" + "}" * 60, "[,]",
    "{a}", "'", '"', '"\\x"', '"\\U99999999"', '"\\uD800"', '"\\UFFFFFFFF"', "@x", "`x`", "%x",
    "#", "? ", "- ", ": ", "|", ">", "---", "...", "!", "&", "*", "!<tag:yaml.org,2002:str> a",
    "!<x> a", "!<> a", "!! a", "\t", "\x00", "\x85", "\ufeff", "\u2029", "=", "<<",
]  # fmt: skip
HEAVY = [
    "[&big '" + "x" * 90_000 + "'," + "*big," * 9000 + "]",
    "[" + "&l [1,1,1,1,1,1,1,1,1]," + "".join(
        f"&l{i} [{','.join(['*l' + (str(i - 1) if i else '')] * 9)}]," for i in range(8)
    ) + "]",
    "[" + "x," * 20_000 + "]", "[" + ",".join(map(str, range(20_000))) + "]",
    "{" + ",".join(f"k{i}: flip" for i in range(8000)) + "}",
    "[" + ",".join(f"k{i}" for i in range(8000)) + "]",
    "[" + ",".join(f"{{name: k{i}, architecture: resnet8, width: {i + 1}}}" for i in range(2000))
    + "]",
]  # fmt: skip

texts = st.sampled_from(NASTY) | st.text(max_size=40) | st.sampled_from(PIPELINES)
numbers = (
    st.integers(-3, 50)
    | st.integers()
    | st.floats(0, 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from([2**31 - 1, 2**31, 2**63, -(2**63), 10**400, 1e308, -1e-300, 0, -0.0])
)
raws = st.sampled_from(RAW + (HEAVY if PROFILE == "thorough" else [])).map(Raw)
scalars = texts | numbers | st.booleans() | st.none() | raws
values = st.recursive(
    scalars | st.builds(list) | st.builds(Pairs),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(st.tuples(texts, inner).map(list), max_size=3).map(Pairs)
    ),
    max_leaves=4,
)
KEYS = sorted(
    {
        match
        for file in ("study.schema.json", "config.schema.json")
        for match in re.findall(
            r'^\s+"(\w+)": \{$', (ROOT / "workflow/schemas" / file).read_text(), re.M
        )
    }
)
keys = st.sampled_from(KEYS) | texts | st.sampled_from(RAW).map(Raw)


def plain(tree):
    """The Python value of a tree, as it comes from the command line."""
    if isinstance(tree, Pairs):
        return {str(key): plain(value) for key, value in tree}
    return [plain(item) for item in tree] if isinstance(tree, list) else tree


def places(tree, found=None):
    """Every container of a tree with each of its places."""
    found = [] if found is None else found
    for i, item in enumerate(tree):
        value = item[1] if isinstance(tree, Pairs) else item
        found.append((tree, i))
        if isinstance(value, list):
            places(value, found)
    return found


@st.composite
def changed(draw, data):
    """The YAML of a tree that is changed at one to three places."""
    tree = as_tree(data)
    for _ in range(draw(st.sampled_from([1, 1, 1, 2, 3]))):
        found = places(tree)
        if not found:
            break
        holder, i = draw(st.sampled_from(found))
        mapping = isinstance(holder, Pairs)
        action = draw(
            st.sampled_from(
                ["value"] * 3 + ["alike"] * 9 + ["delete", "twice", "key", "add", "move", "wrap"]
            )
        )
        old = holder[i][1] if mapping else holder[i]

        def put(value, holder=holder, i=i, mapping=mapping):
            if mapping:
                holder[i] = [holder[i][0], value]
            else:
                holder[i] = value

        if action == "value":
            put(draw(values))
        elif action == "alike":  # of the same type, so that it may well be right
            if isinstance(old, bool):
                put(not old)
            elif isinstance(old, int | float):
                put(draw(st.integers(1, 40) | st.floats(0.01, 0.5) | numbers))
            elif isinstance(old, str):
                put(draw(texts | st.sampled_from(RIGHT)))
            else:
                put(draw(values))
        elif action == "delete":
            del holder[i]
        elif action == "twice":
            holder.insert(i, holder[i])
        elif action == "key" and mapping:
            holder[i] = [draw(keys), old]
        elif action == "add":
            holder.insert(i, [draw(keys), draw(values)] if mapping else draw(values))
        elif action == "move":
            other, j = draw(st.sampled_from(found))
            if j < len(other):
                put(other[j][1] if isinstance(other, Pairs) else other[j])
                tree = json_copy(tree)
        elif action == "wrap":
            put([old] if draw(st.booleans()) else Pairs([[draw(keys), old]]))
    return as_yaml(tree)


def json_copy(tree, depth=0):
    """A copy without anything in it twice, cut where it holds itself."""
    if depth > 40 or not isinstance(tree, list):
        return None if isinstance(tree, list) else tree
    if isinstance(tree, Pairs):
        return Pairs([key, json_copy(value, depth + 1)] for key, value in tree)
    return [json_copy(item, depth + 1) for item in tree]


# What the workflow does with it -------------------------------------------------------------


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A project folder, entered, with local images and much that is no file."""
    folder = tmp_path_factory.mktemp("world") / "project"
    (folder / "config/studies/folder.yaml").mkdir(parents=True)
    for file in tracked("config/studies/*.yaml"):
        (folder / "config/studies" / file.name).write_bytes(file.read_bytes())
    for i in range(4):
        image = folder / f"photos/{'some' if i % 2 else 'none'}/{i}.png"
        image.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (8, 8), i).save(image)
    (folder / "listed.csv").write_text(
        "path,label\n" + "".join(f"photos/none/{i}.png,{i}\n" for i in (0, 2))
    )
    (folder / "odd.csv").write_bytes(b"path,label\n" + "x/\n\0".encode("utf-16"))
    (folder / "w.h5").write_bytes(b"no weights, and nobody looks yet")
    os.mkfifo(folder / "pipe")
    os.mkfifo(folder / "pipe.csv")
    (folder / "odd/class").mkdir(parents=True)
    os.mkfifo(folder / "odd/class/pipe.png")
    (folder / "dangling").symlink_to("nowhere")
    (folder / "loop").symlink_to("loop")
    before = Path.cwd()
    os.chdir(folder)
    known_names(None)  # what is imported once is not an example's
    yield folder
    os.chdir(before)


CONSTRAINTS = {
    name: ast.literal_eval(text)
    for name, text in re.findall(
        r'^    (seed|id|form)=(r?"[^"]+"),$',
        (ROOT / "workflow/rules/common.smk").read_text(),
        re.M,
    )
}
NAME = r"[A-Za-z0-9][A-Za-z0-9._+-]*"
RUN = re.compile(
    rf"results/runs/{NAME}/{NAME}/{NAME}/seed-{CONSTRAINTS['seed']}-{CONSTRAINTS['id']}"
)
DATA = re.compile(rf"results/data/{NAME}/{CONSTRAINTS['form']}")
COUNTS = Counter()


def resolve(given_on_command_line=None):
    """Resolve the study as the workflow does and check what it would make of it."""
    config = load_config(given_on_command_line)
    plan = load_plan(config)
    for data in plan.data.values():
        files_digest(data.settings)
    digests = [
        request_digest(models_request(plan)),
        request_digest(gallery_request(plan)),
        plan_digest(plan),
    ]
    assert all(re.fullmatch("[0-9a-f]{16}", digest) for digest in digests)
    passed = json.loads(canonical_json(config.model_dump(include={"study", "threads"})))
    assert load_config(passed).study == plan.name
    assert plan.runs
    assert re.fullmatch(NAME, plan.name)
    folders = [f"results/{plan.name}", f"reports/{plan.name}-partial.html"]
    for folder, run in plan.runs.items():
        assert RUN.fullmatch(folder), folder
        assert DATA.fullmatch(run.data.folder), run.data.folder
        assert json.loads(run.settings_json) == run.settings
        assert len(run.settings_json) < 50_000  # one word of a shell's command
        folders += [folder, run.data.folder, f"{folder}.log"]
    for folder in folders:
        assert os.path.normpath(folder) == folder
        assert ".." not in folder.split("/")
        assert all(len(part.encode()) <= FILE_NAME for part in folder.split("/"))
    return plan


FILES = r"config/studies/[\w.+-]+\.yaml|config/config\.yaml|--config"
PLACED = re.compile(
    rf"({FILES})(:\d+:\d+)?: .|[^ ]+: cannot be read as CSV|[^ ]+:1: there is no column"
)


def try_it(kind, wants=PLACED, **given_on_command_line):
    """Resolve what lies in the project; return the message if it is refused."""
    before, start = listing(), time.process_time()
    try:
        resolve(given_on_command_line)
    except InputError as error:
        message = str(error)
        COUNTS[kind, "refused"] += 1
        assert message.isprintable()
        assert len(message) <= MESSAGE, message
        assert wants.match(message), message
    else:
        message = None
        COUNTS[kind, "accepted"] += 1
    assert time.process_time() - start < SECONDS, message
    assert listing() == before, message
    return message


def listing():
    return sorted(
        str(Path(folder, name))
        for folder, folders, files in os.walk(".")
        for name in [*folders, *files]
        if not f"{folder}/{name}".startswith("./results")
    )


@pytest.fixture(scope="module", autouse=True)
def told(request):
    """Tell how many were accepted and refused, with -s."""
    yield
    for (kind, outcome), count in sorted(COUNTS.items()):
        print(f"\n{kind}: {count} {outcome}", end="")


TINY, CONFIG_FILE = Path("config/studies/tiny.yaml"), Path("config/config.yaml")
CONFIG_PLACED = re.compile(rf"{PLACED.pattern}|(study|recheck) ")


def write(file, content):
    """Put a file of that content in place of whatever is there."""
    if file.is_symlink() or file.exists():
        file.unlink()
    data = content if isinstance(content, bytes) else content.encode("utf-8", "surrogatepass")
    file.write_bytes(data)


def write_config():
    write(CONFIG_FILE, "study: tiny\n")


@trying(150)
@given(st.sampled_from(STUDIES).flatmap(changed))
def test_changed_studies(world, text):
    write_config()
    write(TINY, text)
    try_it("studies as trees")


@trying(50)
@given(changed(CONFIG))
def test_changed_configs(world, text):
    write(TINY, as_yaml(as_tree(SMALL)))
    write(CONFIG_FILE, text)
    try_it("configs as trees", CONFIG_PLACED)


@trying(50)
@given(
    st.dictionaries(
        st.sampled_from(["study", "threads", "data_dir", "environment", "prune", "recheck"])
        | st.text(max_size=10),
        values.map(plain)
        | st.sampled_from([True, 2024, 7.0, 10**400, 10**5000, float("nan"), float("inf"), "tiny"]),
        max_size=2,
    )
)
def test_values_on_the_command_line(world, given_there):
    write_config()
    write(TINY, as_yaml(as_tree(SMALL)))
    try_it("values of --config", CONFIG_PLACED, **given_there)


SMALL_TEXT = as_yaml(as_tree(SMALL)).encode()
TEXTS = [SMALL_TEXT, *(file.read_bytes() for file in tracked("config/studies"))]


@st.composite
def damaged(draw):
    """The bytes of a study, cut short, overwritten, doubled or mixed with others."""
    content = draw(st.sampled_from(TEXTS))
    for _ in range(draw(st.integers(1, 3))):
        at, to = sorted(draw(st.integers(0, len(content))) for _ in range(2))
        piece = draw(
            st.binary(max_size=8)
            | st.sampled_from(RAW).map(lambda raw: raw.encode())
            | texts.map(lambda text: text.encode("utf-8", "surrogatepass"))
            | st.just(content[at : at + 200])
        )
        content = draw(
            st.sampled_from(
                [
                    content[:at],
                    content[:at] + piece + content[at:],
                    content[:at] + piece + content[at + len(piece) :],
                    content[:at] + content[min(to, at + 40) :],
                ]
            )
        )
    return content


@trying(100)
@given(damaged() | st.binary(max_size=200) | st.text(max_size=200).map(lambda text: text.encode()))
def test_damaged_bytes(world, content):
    write_config()
    write(TINY, content)
    try_it("studies as bytes")


@trying(20)
@given(damaged())
def test_damaged_config(world, content):
    write(CONFIG_FILE, b"study: tiny\n" + content)
    write(TINY, SMALL_TEXT)
    try_it("configs as bytes", CONFIG_PLACED)


# What was once let through, slow or a traceback; and what chance would hardly find -------------


def small(**changes):
    """The small study with other values at places such as ``experiments__own__seeds``."""
    study = json.loads(json.dumps(SMALL))
    for place, value in changes.items():
        *way, last = (int(key) if key.isdigit() else key for key in place.split("__"))
        holder = study
        for key in way:
            holder = holder[key]
        holder[last] = value
    return as_yaml(as_tree(study))


@pytest.mark.parametrize("raw", RAW, ids=lambda raw: ascii(raw[:20]))
def test_every_odd_value_at_places_of_every_type(world, raw):
    write_config()
    digits, own = "experiments__digits__", "experiments__own__"
    for place in [
        "title", "experiments", f"{digits}datasets__0__limit", f"{digits}seeds",
        f"{own}training__early_stopping__patience",
    ]:  # fmt: skip
        write(TINY, small(**{place: Raw(raw)}))
        try_it("odd values")


@pytest.mark.parametrize("raw", HEAVY, ids=lambda raw: ascii(raw[:20]))
def test_large_values(world, raw):
    write_config()
    for place in ("title", "experiments__digits__augmentations"):
        write(TINY, small(**{place: Raw(raw)}))
        assert try_it("large values")


@pytest.mark.parametrize("odd", NASTY, ids=lambda odd: ascii(odd[:20]))
def test_every_odd_text_at_places_of_text(world, odd):
    write_config()
    for place in [
        "title", "experiments__own__datasets__0__path", "experiments__own__datasets__1__path",
        "experiments__own__models__0__weights", "experiments__digits__datasets__0__source",
        "experiments__digits__augmentations", "experiments__own__models__0__name",
    ]:  # fmt: skip
        write(TINY, small(**{place: {"x": odd} if place.endswith("augmentations") else odd}))
        try_it("odd texts")
    write(TINY, SMALL_TEXT)
    for key in ("study", "data_dir"):
        write(CONFIG_FILE, as_yaml(as_tree({**CONFIG, key: odd})))
        try_it("odd texts", CONFIG_PLACED)


def test_a_long_list_of_mistakes_is_told_at_once(world):
    write_config()
    write(TINY, small(experiments__digits__seeds=["x"] * 15_000))
    assert "digits.seeds[0]: must be a valid integer, not 'x'" in try_it("long")


def test_values_that_aliases_make_huge_are_not_written_out(world):
    write_config()
    aliases = "[&big '" + "x" * 150_000 + "'" + ",*big" * 4_000 + "]"  # 600 MB
    write(TINY, small(title=Raw(aliases)))
    assert "title: must be a valid string, not ['xxx" in try_it("long")


def test_a_grid_beyond_what_snakemake_can_take_is_refused(world):
    write_config()
    seeds = list(range(9_000))
    write(TINY, small(experiments__digits__seeds=seeds))
    assert "experiments.digits: its grid has 36,000 runs" in try_it("long")
    write(TINY, small(experiments__own__exclude=[], experiments__digits__seeds=seeds[:2500]))
    assert ", the experiments above 16; a study has at most 10,000" in try_it("long")


@pytest.mark.parametrize("path", ["{x}", "w{dataset}.h5", "-w.h5", " w.h5"])
def test_a_path_that_snakemake_would_read_otherwise_is_refused(world, path):
    write_config()
    write(Path(path), b"")
    write(TINY, small(experiments__own__models__0__weights=path))
    try:
        message = try_it("odd texts")
    finally:
        Path(path).unlink()
    assert "experiments.own.models[0]: weights: " in message and repr(path) in message


@pytest.mark.parametrize("number", [12345678, 1234.0, float("inf")])
def test_an_id_that_looks_like_a_number(world, number):
    write_config()
    message = try_it("values of --config", CONFIG_PLACED, recheck=number)
    assert "--config 'recheck=\"" in message


def test_an_anchor_that_stands_twice_is_refused(world):
    write_config()
    write(TINY, "title: &a x\ndescription: &a y\nexperiments: {}\n")
    assert try_it("long").startswith("config/studies/tiny.yaml:2:14: an anchor of this name")


@pytest.mark.parametrize("text", ["", " \n", "a\x07", "a\x9b", "\ufffe"])
def test_a_title_can_be_read(world, text):
    write_config()
    write(TINY, small(title=text))
    assert "title: " in try_it("odd texts")


# Files of every kind ------------------------------------------------------------------------


@pytest.mark.parametrize("file", [TINY, CONFIG_FILE], ids=["study", "config"])
@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "must hold keys and values"),
        (b"\n", "must hold keys and values"),
        (b"\xff\xfe" + "study: x".encode("utf-16-le"), "is not UTF-8 text (byte 0)"),
        (b"\x89PNG\r\n\x1a\n" + bytes(range(256)), "is not UTF-8 text (byte 0)"),
        (b"\x00" * 100, "not valid YAML"),
        (b"x" * 10_000_000, "is larger than 200 kB"),
        (b"[]", "must hold keys and values"),
        (b"words", "must hold keys and values"),
        (b"\xef\xbb\xbf- 1", "must hold keys and values"),
        (b"%YAML 1.1\n---\n", "directives"),
        (b"a: 1\n" * 50, "stands twice"),
    ],
    ids=lambda value: ascii(value[:12]) if isinstance(value, bytes) else "",
)
def test_content_that_is_no_study(world, file, content, told):
    write_config()
    write(TINY, SMALL_TEXT)
    write(file, content)
    message = try_it("files")
    if file == CONFIG_FILE and not content.strip():
        return  # an empty configuration is that of all defaults
    assert message.startswith(f"{file}") and told in message


def test_a_byte_order_mark_does_no_harm(world):
    write_config()
    write(TINY, b"\xef\xbb\xbf" + SMALL_TEXT)
    assert try_it("files") is None


@pytest.mark.parametrize("file", [TINY, CONFIG_FILE], ids=["study", "config"])
@pytest.mark.parametrize("kind", ["folder", "pipe", "dangling", "loop", "device", "unreadable"])
def test_what_is_no_file(world, file, kind, monkeypatch):
    write_config()
    write(TINY, SMALL_TEXT)
    if kind == "unreadable":
        allowed = Path.read_bytes

        def refuse(path):
            if path == file:
                raise PermissionError(13, "Permission denied")
            return allowed(path)

        monkeypatch.setattr(Path, "read_bytes", refuse)  # root may read everything
        assert try_it("files") == f"{file}: may not be read (permissions)"
        return
    file.unlink()
    if kind == "folder":
        file.mkdir()
    elif kind == "pipe":
        os.mkfifo(file)
    else:
        target = {"dangling": "nowhere", "loop": file.name, "device": "/dev/zero"}[kind]
        file.symlink_to(target)
    try:
        message = try_it("files")
    finally:
        file.rmdir() if kind == "folder" else file.unlink()
    assert message.startswith(f"{file}: ")


def test_without_a_config_the_default_study_runs(world):
    CONFIG_FILE.unlink(missing_ok=True)
    assert load_config().study == "quickstart"


def test_a_folder_that_may_not_be_looked_into(world, monkeypatch):
    write_config()
    write(TINY, SMALL_TEXT)
    allowed = Path.iterdir

    def refuse(path):
        if path.name == "some":
            raise PermissionError(13, "Permission denied")
        return allowed(path)

    monkeypatch.setattr(Path, "iterdir", refuse)
    assert try_it("files", re.compile("photos")) == "photos/some: cannot be read: Permission denied"


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"\xff", b'{"x": 1}'])
def test_a_damaged_cache_of_images_is_ignored(world, content):
    write_config()
    write(TINY, SMALL_TEXT)
    assert try_it("files") is None
    cache = Path("results/data/.local-images.json")
    before = cache.read_bytes()
    cache.write_bytes(content)
    assert try_it("files") is None
    assert cache.read_bytes() == before


def test_pipes_are_no_images(world):
    write_config()
    write(TINY, small(experiments__own__datasets__0__path="odd"))
    assert try_it("files") is None  # and does not wait for what nobody writes
