import os

import pytest

from ablation.errors import InputError
from ablation.study.loading import dotted, read_yaml


def read(tmp_path, text):
    file = tmp_path / "x.yaml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_yaml(file)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001),
        ("on", "on"),
        ("no", "no"),
        ("true", True),
        ("012", 12),
        ("0x1F", 31),
        ("1_000", 1000),
        ("2024-01-01", "2024-01-01"),
        ("~", None),
        ('"5"', "5"),
        ("-.5", -0.5),
        ("|\n  a\n  b\n", "a\nb\n"),
    ],
)
@pytest.mark.parametrize("anchor", ["", "&x "])
def test_scalars_are_plain_values_by_the_rules_of_yaml_1_2(tmp_path, text, value, anchor):
    got = read(tmp_path, f"a: {anchor}{text}").data["a"]
    assert got == value
    assert type(got) is type(value)


def test_every_place_has_its_line_and_column(tmp_path):
    document = read(tmp_path, "a:\n  b: [1,\n    2]\n")
    assert document.where(("a", "b", 1)).endswith("x.yaml:3:5")
    assert document.where(("a", "b", 1, "deeper")).endswith("x.yaml:3:5")
    assert dotted(("a", "b", 1)) == "a.b[1]"


MERGED = """\
first: &first
  training: &base {epochs: 5, momentum: 0.9}
second:
  <<: *first
  training:
    <<: [*base, {nesterov: true}]
    epochs: 6
"""


def test_aliases_and_merge_keys_are_resolved_and_keep_their_places(tmp_path):
    document = read(tmp_path, MERGED)
    training = {"epochs": 6, "momentum": 0.9, "nesterov": True}
    assert document.data["second"] == {"training": training}
    assert document.data["first"] == {"training": {"epochs": 5, "momentum": 0.9}}
    assert type(document.data["second"]["training"]) is dict
    positions = {key: document.position(("second", "training", key)) for key in training}
    assert positions == {"epochs": (7, 5), "momentum": (2, 31), "nesterov": (6, 18)}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\na: 2", ":2:1: duplicate key 'a' (first in line 1)"),
        ("a: {b: 1, b: 2}", ":1:11: duplicate key 'b' (first in line 1)"),
        ("2: 1", ":1:1: the key 2 is not text; write it in quotes"),
        ("? [1]\n: 2", ":1:3: the key (1,) is not text"),
        ("a: [", ":1:5: not valid YAML: while parsing a flow node, expected the node content"),
        ("a: b: c", ":1:5: not valid YAML: mapping values are not allowed here"),
        ("a: *b", ":1:4: not valid YAML: found undefined alias 'b'"),
        ("a: 1\n<<: 3", ":2:5: while constructing a mapping, expected a mapping or list of"),
        ("a: 1\n---\na: 2", ":2:1: not valid YAML: expected a single document"),
        ("a: !mine 3", ":1:4: the tag !mine is not supported"),
        ("a: !!python/object/apply:os.system ['touch pwned']", ":1:4: the tag tag:yaml.org"),
        (b"a: \xff", ": not UTF-8 text (byte 3)"),
        (b"a: \x00", ": not valid YAML: unacceptable character #x0000"),
        ("&a [*a]", ": not valid YAML: maximum recursion depth"),
        ("a: " + "9" * 5000, ": not valid YAML: Exceeds the limit"),
        ('a: "\\ud800"', ": not valid YAML: 'utf-8' codec can't encode"),
        ("#" * 200_001, ": larger than 200 kB"),
    ],
)
def test_mistakes_are_reported_with_file_line_and_column(tmp_path, text, message):
    with pytest.raises(InputError) as caught:
        read(tmp_path, text)
    assert str(caught.value).startswith(f"{tmp_path}/x.yaml{message}")


def test_a_byte_order_mark_is_ignored(tmp_path):
    assert read(tmp_path, b"\xef\xbb\xbfa: 1").data == {"a": 1}


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda file: None, "no such file"),
        (lambda file: file.symlink_to("nowhere"), "no such file"),
        (lambda file: file.mkdir(), "not a file"),
        (os.mkfifo, "not a file"),
    ],
)
def test_what_is_not_a_file_is_refused(tmp_path, make, message):
    file = tmp_path / "x.yaml"
    make(file)
    with pytest.raises(InputError) as caught:
        read_yaml(file)
    assert str(caught.value) == f"{file}: {message}"
