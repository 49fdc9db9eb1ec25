"""The configuration's schema, its messages, its defaults and its documentation."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import yaml

from dualad.data.registry import READERS
from dualad.design.experiments import resolve_methods
from dualad.design.families import FAMILIES
from dualad.design.schema import complete_config
from dualad.errors import DualadError
from dualad.paper.numbers import paper_numbers

ROOT = Path(__file__).resolve().parents[2]
SCHEMA_PATH = ROOT / "workflow/schemas/config.schema.yaml"
SCHEMA = yaml.safe_load(SCHEMA_PATH.read_text())
CONFIGS = sorted((ROOT / "config").glob("*.yaml"))
# Keys of a dataset's entry that the readers do not see.
OTHER_KEYS = {"protocol", "test_fraction", "validation_fraction", "split_seed", "paper_name"}
# Keys of a method's entry that say on what and how often it runs, not how.
DESIGN_KEYS = {"datasets", "repeats", "table"}
MINIMAL = {
    "datasets": {"digits": {"reader": "digits"}},
    "methods": {"dual": {"family": "dual_autoencoder"}},
}


def resolved(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """A schema with its reference, if it is one, followed."""
    if "$ref" in schema:
        return resolved(SCHEMA["$defs"][schema["$ref"].removeprefix("#/$defs/")])
    return schema


def defaults(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Defaults of a mapping's keys, those of nested mappings included."""
    found = {}
    for key, entry in schema["properties"].items():
        if entry is not True and key not in DESIGN_KEYS:
            entry = resolved(entry)
            found[key] = defaults(entry) if "properties" in entry else entry["default"]
    return found


def plain(value: Any) -> Any:
    """Tuples as lists, throughout."""
    if isinstance(value, Mapping):
        return {key: plain(entry) for key, entry in value.items()}
    return [plain(entry) for entry in value] if isinstance(value, list | tuple) else value


def mappings(schema: Any, where: str = "") -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every subschema that lists the keys of a mapping, except conditions."""
    if isinstance(schema, Mapping):
        if "properties" in schema and "allOf" not in schema:
            yield where, schema
        for key, entry in schema.items():
            if key != "if":
                yield from mappings(entry, f"{where}/{key}")
    elif isinstance(schema, list):
        for entry in schema:
            yield from mappings(entry, where)


def message(config: Mapping[str, Any]) -> str:
    with pytest.raises(DualadError) as caught:
        complete_config(config, SCHEMA_PATH)
    return str(caught.value)


def changed(**sections: Any) -> dict[str, Any]:
    return {**MINIMAL, **sections}


@pytest.mark.parametrize("family", FAMILIES)
def test_defaults_of_the_schema_are_those_of_the_code(family: str) -> None:
    assert defaults(SCHEMA["$defs"][family]) == plain(asdict(FAMILIES[family].params()))


def test_the_schema_has_all_families() -> None:
    families = SCHEMA["$defs"]["method"]["properties"]["family"]["enum"]
    assert families == list(FAMILIES)
    assert list(SCHEMA["properties"]["defaults"]["properties"]) == list(FAMILIES)


def test_keys_of_the_readers_are_those_of_the_code() -> None:
    dataset = SCHEMA["$defs"]["dataset"]
    assert set(dataset["properties"]["reader"]["enum"]) == set(READERS)
    for name, reader in READERS.items():
        properties = SCHEMA["$defs"][f"{name}_dataset"]["properties"]
        assert set(properties) == {"reader", *reader.all_keys(), *OTHER_KEYS}
        for key, spec in reader.all_keys().items():
            assert resolved(properties[key]).get("default") == plain(spec.default), (name, key)


def test_the_names_of_the_schema_are_those_of_the_paper() -> None:
    printed = {number.dataset for number in paper_numbers("Table 6")}
    assert set(SCHEMA["$defs"]["paper_name"]["enum"]) == {*printed, None}


def test_every_mapping_refuses_unknown_keys() -> None:
    for where, schema in mappings(SCHEMA):
        assert schema.get("additionalProperties") is False, where


def test_every_key_is_described() -> None:
    for where, schema in mappings(SCHEMA):
        for key, entry in schema["properties"].items():
            assert entry is True or "description" in resolved(entry), f"{where}: {key}"


def test_every_key_and_default_is_documented() -> None:
    text = (ROOT / "config/README.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \| `?(.*?)`? \|", text, re.M)
    for where, schema in mappings(SCHEMA):
        for key, entry in schema["properties"].items():
            if entry is True:
                continue
            entry = resolved(entry)
            assert f"`{key}`" in text, f"{where}: {key}"
            if "default" in entry:
                documented = [yaml.safe_load(default) for name, default in rows if name == key]
                assert entry["default"] in documented, f"{where}: {key}"


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_shipped_configurations_are_valid(path: Path) -> None:
    config = complete_config(yaml.safe_load(path.read_text()), SCHEMA_PATH)
    assert resolve_methods(config["methods"], config["defaults"])


def test_gaps_are_filled_and_the_original_is_left_alone() -> None:
    config = changed(evaluation={"bootstrap": 10})
    complete = complete_config(config, SCHEMA_PATH)
    assert complete["image_size"] == 68
    assert complete["evaluation"] == {
        "bootstrap": 10,
        "confidence": 0.95,
        "ece_bins": 10,
        "fpr_limit": 0.3,
    }
    assert complete["compute"]["threads"] == 2
    assert complete["methods"] == MINIMAL["methods"]
    assert config == changed(evaluation={"bootstrap": 10})
    assert complete_config(complete, SCHEMA_PATH) == complete


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"values": [0.1, 2.0]}, "sweeps.s.values[1]: 2.0 does not fit; expected"),
        ({"factor": "dropuot"}, "sweeps.s.factor: unknown key; did you mean dropout?"),
        ({"factor": "epochs.x"}, "sweeps.s.values[0]: {'x': 0.1} does not fit"),
        ({"overrides": {"epochs": "30"}}, "sweeps.s.overrides.epochs: '30' does not fit"),
        ({"overrides": {"stop_on": "vloss"}}, "sweeps.s.overrides.stop_on: 'vloss' does not fit"),
        ({"values": []}, "sweeps.s.values: needs at least one entry"),
        ({"values": [0.1, 0.1]}, "sweeps.s.values: [0.1, 0.1] names something twice; drop one"),
    ],
)
def test_values_of_a_sweep_are_checked_as_keys_of_its_method(change, expected) -> None:
    entry = {"method": "dual", "factor": "dropout", "values": [0.1], **change}
    assert expected in message(changed(sweeps={"s": entry}))


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (
            changed(batch_search={"method": "dual", "overrides": {"epochs": "ten"}}),
            "batch_search.overrides.epochs: 'ten' does not fit",
        ),
        (changed(methods={"dual": {}}), "methods.dual.family: missing; choose one of dual_auto"),
        (
            changed(datasets={"d": {"reader": "digits", "normal": ["4"]}}),
            "datasets.d.normal[0]: '4' does not fit; expected a digit from 0 to 9",
        ),
        ({}, "datasets: missing"),
        (changed(methods={}), "methods: needs at least one entry"),
        (changed(methods=None), "methods: None does not fit"),
        (changed(image_sise=68), "image_sise: unknown key; did you mean image_size?"),
        (changed(image_size="68"), "image_size: '68' does not fit; expected the side"),
        (changed(image_size="68"), "this is text, through quotes or as a nested value of --config"),
        (changed(image_size=True), "image_size: True does not fit"),
        (changed(evaluation={"bootstraps": 5}), "evaluation.bootstraps: unknown key"),
        (changed(compute={"environment": "tpu"}), "compute.environment: 'tpu' does not fit"),
        (changed(datasets={"a": None}), "datasets.a: None does not fit"),
        (changed(datasets={"a": {}}), "datasets.a.reader: missing"),
        (changed(datasets={"a": {"reader": "png"}}), "datasets.a.reader: 'png' does not fit"),
        (changed(datasets={"a": {"reader": "folder"}}), "datasets.a.path: missing; expected the"),
        (changed(datasets={"a": {"reader": "mvtec"}}), "expected a `path` to the data, or `down"),
        (
            changed(datasets={"a": {"reader": "digits", "path": "x"}}),
            "datasets.a.path: unknown key; known here: reader, normal",
        ),
        (changed(datasets={"a/b": {"reader": "digits"}}), "datasets.a/b: a name consists of"),
        (changed(datasets={"tables": {"reader": "digits"}}), "datasets.tables: the results"),
        (changed(methods={"dual": {}}), "methods.dual.family: missing"),
        (changed(methods={"p": {"family": "padin"}}), "methods.p.family: 'padin' does not fit"),
        (changed(methods={"p": {"family": "pca", "epochs": 3}}), "methods.p.epochs: unknown key"),
        (
            changed(methods={"d": {"family": "dual_autoencoder", "learning_rate": "3e-4"}}),
            "methods.d.learning_rate: YAML reads 3e-4 as text; write 3.0e-4",
        ),
        (
            changed(methods={"d": {"family": "dual_autoencoder", "search": {"trials": 0}}}),
            "methods.d.search.trials: 0 does not fit; expected the number of trials",
        ),
        (
            changed(methods={"d": {"family": "dual_autoencoder", "encoders": ["image", "x"]}}),
            "methods.d.encoders[1]: 'x' does not fit; expected one of image, pixel",
        ),
        (
            changed(defaults={"dual": {}}),
            "defaults.dual: unknown key; known here: dual_autoencoder, mean",
        ),
        (
            changed(defaults={"dual_autoencoder": {"epoch": 3}}),
            "defaults.dual_autoencoder.epoch: unknown key; did you mean epochs?",
        ),
    ],
)
def test_a_wrong_key_is_named(config: Mapping[str, Any], expected: str) -> None:
    lines = message(config).splitlines()
    assert lines[0].startswith("the configuration is wrong")
    assert any(expected in line for line in lines)
    # Nothing of the schema leaks into the message.
    assert not re.search(r"\$defs|anyOf|jsonschema", "\n".join(lines))


def test_every_mistake_is_reported_once() -> None:
    text = message(changed(image_size=0, evaluation={"confidence": 2, "x": 1}))
    assert len(text.splitlines()) == 4
