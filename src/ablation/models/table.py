"""The description of the networks of a study."""

import json
from pathlib import Path
from typing import Any

import keras

from ablation.data.prepared import load
from ablation.models.build import build
from ablation.models.cost import costs, stages, summary
from ablation.models.families import network_settings


def describe_models(request: list[dict[str, Any]], file: Path) -> None:
    """Describe networks and write the descriptions.

    Args:
        request: dicts of ``model`` (its label), ``architecture`` (its settings), ``dataset`` (its
            label) and ``data`` (folder of the prepared data).
        file: where the JSON list is written. It has a dict for each network, a label with its
            settings: ``model``, ``architecture``, ``stages`` and Keras' ``summary``, both for the
            first data set of the network, and ``costs``: for each of its data sets ``dataset``,
            ``input_shape``, ``classes`` and `ablation.models.cost.costs`.
    """
    networks: dict[str, dict[str, Any]] = {}
    for wanted in request:
        label, settings = wanted["model"], network_settings(wanted["architecture"])
        data = load(Path(wanted["data"]), verify=False)
        keras.utils.clear_session()  # resets the names of layers
        model = build(settings, data.input_shape, len(data.class_names), seed=0)
        key = f"{label} {settings!r}"
        if key not in networks:
            networks[key] = {
                "model": label,
                "architecture": settings.model_dump(mode="json"),
                "stages": stages(model),
                "summary": summary(model),
                "costs": [],
            }
        networks[key]["costs"].append(
            {
                "dataset": wanted["dataset"],
                "input_shape": list(data.input_shape),
                "classes": len(data.class_names),
                **costs(model),
            }
        )
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(
        json.dumps(list(networks.values()), indent=2, ensure_ascii=False) + "\n", encoding="utf-8"
    )
