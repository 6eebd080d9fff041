"""The reference part of ``config/README.md``: keys, architectures and steps."""

import json
from collections.abc import Iterable, Sequence
from inspect import cleandoc
from pathlib import Path
from typing import Any

from ablation.augmentation.registry import STEPS, written
from ablation.errors import InputError
from ablation.models.families import FAMILIES
from ablation.study.rubrics import (
    ArmsCompared,
    BestArm,
    Check,
    Converges,
    Criterion,
    LossFalls,
    Network,
    NetworkCheck,
    Pictures,
    Rubric,
    Table,
)
from ablation.study.schema import (
    Arms,
    Baseline,
    Cells,
    Comparison,
    Config,
    Dataset,
    DeclaredTraining,
    Experiment,
    Model,
    Override,
    Reference,
    Study,
)
from ablation.training.settings import EarlyStopping

BEGIN = "<!-- The part from here on is written by `make docs`. -->"
BLOCKS = (
    ("Study", Study),
    ("Experiment", Experiment),
    ("Data set (`datasets`)", Dataset),
    ("Model (`models`)", Model),
    ("Training (`training`)", DeclaredTraining),
    ("Early stopping (`training.early_stopping`)", EarlyStopping),
    ("Baseline (`baseline`)", Baseline),
    ("Comparison (`comparisons`)", Comparison),
    ("Arms (`arm`, `where` and levels of `factors` in `comparisons`)", Arms),
    ("Reference (`reference` in `comparisons`)", Reference),
    ("Override (`overrides`)", Override),
    ("Cells (`exclude`, and `where` of `overrides`)", Cells),
    ("`config/config.yaml`", Config),
    ("Rubric (`config/rubrics/NAME.yaml`)", Rubric),
    ("Criterion (`criteria`)", Criterion),
    ("Check (`checks`)", Check),
    ("Check `network`", NetworkCheck),
    ("Check `loss_falls`", LossFalls),
    ("Check `converges`", Converges),
    ("Check `table`", Table),
    ("Check `best_arm`", BestArm),
    ("Check `pictures`", Pictures),
    ("Check `comparison`", ArmsCompared),
    ("Network (`model` of a check)", Network),
)


def reference_text() -> str:
    """Return the reference as Markdown."""
    parts = [BEGIN, "", "# Reference", ""]
    for title, model in BLOCKS:
        parts += [f"## {title}", "", cleandoc(model.__doc__ or "").replace("``", "`"), ""]
        # Fields that all checks share are listed once.
        shared = Check.model_fields if model is not Check and issubclass(model, Check) else {}
        own = [key for key in model.model_fields if key not in shared]
        keys = _keys(model.model_json_schema(), own)
        parts += _table(("key", "type", "default", "what it is"), keys)
    parts += ["## Architectures", ""]
    for name, family in FAMILIES.items():
        parts += [f"### Family `{name}`", "", family.about, ""]
        parts += [", ".join(f"`{name}`" for name in family.names), ""]
        keys = _keys(family.options.model_json_schema(), family.options.model_fields)
        parts += _table(("option", "type", "default", "what it is"), keys)
    parts += ["## Augmentation steps", ""]
    for _, step in sorted(STEPS.items()):
        parts += [f"### `{step.name}`", "", step.documentation, ""]
        rows = [
            (
                f"`{name}`",
                step.allowed(name),
                "required" if field.is_required() else f"`{written(field.default)}`",
                str(field.description),
            )
            for name, field in step.parameters.model_fields.items()
        ]
        if rows:
            parts += _table(("parameter", "values", "default", "what it is"), rows)
    return "\n".join(parts).rstrip() + "\n"


def with_reference(text: str) -> str:
    """Return a document with an updated reference part.

    Raises:
        InputError: the document does not contain the line before the reference.
    """
    before, mark, _ = text.partition(BEGIN)
    if not mark:
        raise InputError(f"the document has no line '{BEGIN}'")
    return before + reference_text()


def write_reference(file: Path) -> None:
    """Update the reference part of a document."""
    file.write_text(with_reference(file.read_text(encoding="utf-8")), encoding="utf-8")


def _keys(schema: dict[str, Any], fields: Iterable[str]) -> list[tuple[str, ...]]:
    schema = next((part for part in schema.get("anyOf", []) if "properties" in part), schema)
    if "$ref" in schema:
        schema = schema["$defs"][schema["$ref"].rpartition("/")[2]]
    required, properties = schema.get("required", []), schema["properties"]
    return [
        (
            f"`{key}`",
            _type(value),
            "required" if key in required else _default(value.get("default")),
            value["description"],
        )
        for key, value in ((field, properties[field]) for field in fields)
    ]


def _type(value: dict[str, Any]) -> str:
    if "anyOf" in value:
        return " or ".join(
            dict.fromkeys(_type(part) for part in value["anyOf"] if part.get("type") != "null")
        )
    if "enum" in value or "const" in value:
        return ", ".join(f"`{choice}`" for choice in value.get("enum", [value.get("const")]))
    if "$ref" in value or "oneOf" in value:
        return "block"
    kind = value.get("type", "")
    if kind == "array":
        return f"list of {_type(value['items'])}"
    names = {"string": "text", "integer": "whole number", "boolean": "true or false",
             "object": "names and values"}  # fmt: skip
    limits = [
        f"{sign} {value[key]:,}"
        for key, sign in (
            ("minimum", "≥"), ("exclusiveMinimum", ">"), ("maximum", "≤"), ("exclusiveMaximum", "<")
        )
        if key in value
    ]  # fmt: skip
    return " ".join([names.get(kind, kind), " and ".join(limits)]).strip()


def _default(value: Any) -> str:
    return "" if value is None else f"`{value if isinstance(value, str) else json.dumps(value)}`"


def _table(heads: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> list[str]:
    lines = [heads, tuple("---" for _ in heads), *rows]
    return [
        "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in line) + " |"
        for line in lines
    ] + [""]
