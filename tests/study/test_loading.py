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
    ],
)
def test_scalars_are_those_of_yaml_1_2(tmp_path, text, value):
    got = read(tmp_path, f"a: {text}").data["a"]
    assert got == value
    assert type(got) is type(value)


def test_places_are_told_by_line_and_column(tmp_path):
    document = read(tmp_path, "a:\n  b: [1,\n    2]\n")
    assert document.where(("a", "b", 1)).endswith(":3:5")
    assert document.where(("a", "b", 1, "deeper")).endswith(":3:5")
    assert dotted(("a", "b", 1)) == "a.b[1]"


def test_aliases_are_expanded(tmp_path):
    assert read(tmp_path, "a: &x {b: 1}\nc: *x").data == {"a": {"b": 1}, "c": {"b": 1}}


BOMB = "a: &a [1,1,1,1,1,1,1,1,1,1]\n" + "".join(
    f"{chr(98 + i)}: &{chr(98 + i)} [{','.join(['*' + chr(97 + i)] * 10)}]\n" for i in range(8)
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\na: 2", ":2:1: key 'a' stands twice in 'the file' (first in line 1)"),
        ("a: {b: 1, b: 2}", "key 'b' stands twice in 'a'"),
        ("a: [", "not valid YAML"),
        ("a: !!python/object/apply:os.system ['touch pwned']", "is not allowed"),
        ("a: !mine 3", "is not allowed"),
        ("? [1]\n: 2", "a key must be text"),
        ("a: .inf", "not a finite number"),
        ("a: 1\n---\na: 2", "single document"),
        ("<<: {a: 1}", "merge keys"),
        (b"a: \xff", "not UTF-8 text (byte 3)"),
        (b"a: \x00", "not valid YAML"),
        ("a: " + "[" * 2000, "nested"),
        (BOMB, "too many"),
        ("a: &x [*x]", "nested"),
        ("a: " + "9" * 5000, "cannot read"),
        ("#" * 200_001, "larger than"),
        ("%YAML 1.1\n---\na: yes", "directives"),
        ('a: "\\ud800"', "not valid text"),
    ],
)
def test_what_is_refused(tmp_path, text, message):
    with pytest.raises(InputError) as caught:
        read(tmp_path, text)
    assert message in str(caught.value)
    assert str(caught.value).startswith(str(tmp_path / "x.yaml"))
    assert not (tmp_path / "pwned").exists()


def test_a_folder_and_a_missing_file(tmp_path):
    with pytest.raises(InputError, match="is not a file"):
        read_yaml(tmp_path)
    with pytest.raises(InputError, match="no such file"):
        read_yaml(tmp_path / "none.yaml")
