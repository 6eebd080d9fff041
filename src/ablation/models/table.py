"""The model table of a study: each network described for the data that it meets."""

import json
from pathlib import Path
from typing import Any

from ablation.data.prepared import load
from ablation.models.cost import describe


def describe_models(request: list[dict[str, Any]], file: Path) -> None:
    """Describe networks and write the descriptions.

    Args:
        request: blocks of model (its label), architecture (resolved), dataset (its label) and
            data (folder of the prepared data).
        file: where the JSON list goes: each block with what ``describe`` tells, without weights.
    """
    rows = []
    for wanted in request:
        data = load(Path(wanted["data"]), verify=False)
        cost = describe(wanted["architecture"], data.input_shape, len(data.class_names))
        rows.append({**wanted, **cost})
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")
