import json

import jsonschema
import pytest

from ablation.study.json_schema import SCHEMAS, schema_texts
from ablation.study.loading import read_yaml

from ..conftest import ROOT, tracked


def schema(name):
    return json.loads(schema_texts()[name])


@pytest.mark.parametrize("name", SCHEMAS)
def test_the_committed_schema_is_that_of_the_models(name):
    committed = (ROOT / "workflow/schemas" / name).read_text()
    assert committed == schema_texts()[name], "run `make schemas`"


@pytest.mark.parametrize("file", tracked("config/studies/*.yaml"), ids=str)
def test_the_studies_that_ship_fit_the_schema(file):
    jsonschema.validate(read_yaml(file).data, schema("study.schema.json"))


def test_the_config_that_ships_fits_the_schema():
    jsonschema.validate(read_yaml(ROOT / "config/config.yaml").data, schema("config.schema.json"))


def test_the_schema_refuses_what_the_models_refuse():
    study = read_yaml(ROOT / "config/studies/quickstart.yaml").data
    study["experiments"]["residual"]["training"]["epoch"] = 3
    with pytest.raises(jsonschema.ValidationError, match="epoch"):
        jsonschema.validate(study, schema("study.schema.json"))


def test_every_key_tells_what_it_is():
    for text in SCHEMAS:
        for name, block in {**schema(text).get("$defs", {}), "top": schema(text)}.items():
            for key, value in block.get("properties", {}).items():
                assert value.get("description"), f"{name}.{key}"
