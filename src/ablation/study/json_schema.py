"""JSON Schemas of the configuration files, for editors."""

import json
from pathlib import Path

from pydantic import BaseModel

from ablation.study.rubrics import Rubric
from ablation.study.schema import Config, Study

SCHEMAS: dict[str, type[BaseModel]] = {
    "study.schema.json": Study,
    "rubric.schema.json": Rubric,
    "config.schema.json": Config,
}


def schema_texts() -> dict[str, str]:
    """Return the content of each schema, by file name."""
    return {
        name: json.dumps(
            {
                "$schema": "https://json-schema.org/draft/2020-12/schema",
                **model.model_json_schema(),
            },
            indent=2,
        )
        + "\n"
        for name, model in SCHEMAS.items()
    }


def write_schemas(folder: Path) -> None:
    """Write the schemas into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in schema_texts().items():
        (folder / name).write_text(text)
