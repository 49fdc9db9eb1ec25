"""The configuration's schema, its messages, its defaults and its documentation."""

import math
import re
from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from dualad.data.download import DOWNLOADS
from dualad.data.registry import READERS
from dualad.design import documentation
from dualad.design.datasets import ENTRIES
from dualad.design.experiments import resolve_methods
from dualad.design.families import FAMILIES
from dualad.design.keys import key, plain
from dualad.design.parameters import DualAutoencoderParams, EvaluationParams
from dualad.design.schema import complete_config, config_schema
from dualad.errors import DualadError
from dualad.paper.numbers import paper_numbers

ROOT = Path(__file__).resolve().parents[2]
SCHEMA = config_schema()
CONFIGS = sorted((ROOT / "config").glob("*.yaml"))
MINIMAL = {
    "datasets": {"digits": {"reader": "digits"}},
    "methods": {"dual": {"family": "dual_autoencoder"}},
}


def message(config: Mapping[str, Any]) -> str:
    with pytest.raises(DualadError) as caught:
        complete_config(config)
    return str(caught.value)


def changed(**sections: Any) -> dict[str, Any]:
    return {**MINIMAL, **sections}


def test_every_key_of_every_family_stands_in_a_table() -> None:
    readme = (ROOT / documentation.README).read_text()
    tables = re.findall(r"<!-- keys: .+? -->\n(.*?)<!-- end -->", readme, re.S)
    for about in FAMILIES.values():
        for parameters in about.params.__mro__:
            # What a class adds to those that it derives from.
            added = [f"| `{name}` |" for name in vars(parameters).get("__annotations__", {})]
            together = [table for table in tables if all(row in table for row in added)]
            assert together, parameters


def test_the_schema_and_the_documentation_are_in_step_with_the_code() -> None:
    readme = (ROOT / documentation.README).read_text()
    remedy = "a key has changed: run `make config-docs`"
    assert (ROOT / documentation.SCHEMA).read_text() == documentation.schema_text(), remedy
    assert readme == documentation.with_tables(readme), remedy


def test_the_schema_is_one() -> None:
    Draft202012Validator.check_schema(SCHEMA)


def test_entries_have_a_reader_each() -> None:
    assert {name: reader.entry for name, reader in READERS.items()} == ENTRIES
    downloads = {name for reader in READERS.values() for name in reader.downloads}
    assert downloads == set(DOWNLOADS)


def test_the_names_of_the_schema_are_those_of_the_paper() -> None:
    printed = {number.dataset for number in paper_numbers("Table 6")}
    choices = SCHEMA["$defs"]["digits_dataset"]["properties"]["paper_name"]["anyOf"][0]["enum"]
    assert set(choices) == printed


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_shipped_configurations_are_valid(path: Path) -> None:
    config = complete_config(yaml.safe_load(path.read_text()))
    assert resolve_methods(config["methods"], config["defaults"])


def test_gaps_are_filled_and_the_original_is_left_alone() -> None:
    config = changed(evaluation={"bootstrap": 10})
    complete = complete_config(config)
    assert complete["image_size"] == 68
    assert complete["evaluation"] == plain(EvaluationParams(bootstrap=10))
    assert complete["compute"]["threads"] == 2
    assert complete["methods"] == MINIMAL["methods"]
    assert config == changed(evaluation={"bootstrap": 10})
    assert complete_config(complete) == complete


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
            "datasets.d.normal[0]: '4' does not fit; expected an integer from 0 to 9",
        ),
        ({}, "datasets: missing"),
        (changed(methods={}), "methods: needs at least one entry"),
        (changed(methods=None), "methods: None does not fit"),
        (changed(image_sise=68), "image_sise: unknown key; did you mean image_size?"),
        (changed(image_size="68"), "image_size: '68' does not fit; expected side"),
        (changed(image_size="68"), "this is text, through quotes or as a nested value of --config"),
        (changed(image_size=True), "image_size: True does not fit"),
        (changed(evaluation={"bootstraps": 5}), "evaluation.bootstraps: unknown key"),
        (changed(compute={"environment": "tpu"}), "compute.environment: 'tpu' does not fit"),
        (changed(datasets={"a": None}), "datasets.a: None does not fit"),
        (changed(datasets={"a": {}}), "datasets.a.reader: missing"),
        (changed(datasets={"a": {"reader": "png"}}), "datasets.a.reader: 'png' does not fit"),
        (
            changed(datasets={"a": {"reader": "folder"}}),
            "datasets.a.path: missing; expected folder of",
        ),
        (
            changed(datasets={"a": {"reader": "mvtec"}}),
            "datasets.a.path: missing; give the path of the data, or download: mvtec_ad",
        ),
        (
            changed(datasets={"a": {"reader": "mvtec", "path": "x", "download": "mvtec_ad"}}),
            "datasets.a.download: stands beside path; drop one of the two",
        ),
        (changed(datasets={"a": {"reader": "folder", "path": ""}}), "datasets.a.path: is empty"),
        (changed(datasets={False: {"reader": "digits"}}), "datasets.False: YAML reads a bare off"),
        (changed(methods={True: {"family": "pca"}}), "methods.True: YAML reads a bare off, no, on"),
        (
            changed(sweeps={1: {}}),
            "sweeps.1: YAML reads a bare off, no, on or yes as true or false",
        ),
        (
            changed(methods={"p": {"family": "pca", "datasets": [False]}}),
            "methods.p.datasets[0]: False does not fit; expected a text; YAML reads a bare off",
        ),
        (changed(methods={"m": {"family": "mpde", "dropout": 1}}), "methods.m.dropout: 1 does not"),
        (
            changed(methods={"m": {"family": "utrad", "learning_rate": 0}}),
            "methods.m.learning_rate: 0 does not fit; expected learning rate of Adam; a positive",
        ),
        (changed(methods={"m": {"family": "cflow", "clamp": 0}}), "methods.m.clamp: 0 does not"),
        (
            changed(methods={"m": {"family": "patchcore", "coreset": 1.1}}),
            "methods.m.coreset: 1.1 does not fit",
        ),
        (changed(methods={"m": {"family": "utrad", "grid": 24}}), "methods.m.grid: 24 does not"),
        (
            changed(methods={"m": {"family": "dual_autoencoder", "epochs": 3.0}}),
            "methods.m.epochs: 3.0 does not fit; expected most epochs of an attempt; a positive",
        ),
        (
            changed(methods={"m": {"family": "pca", "threshold": {"q": math.inf}}}),
            "methods.m.threshold.q: inf does not fit",
        ),
        (
            changed(datasets={"a": {"reader": "digits", "path": "x"}}),
            "datasets.a.path: unknown key; known here: reader, protocol",
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
            "methods.d.search.trials: 0 does not fit; expected number of trials",
        ),
        (
            changed(methods={"d": {"family": "dual_autoencoder", "encoders": ["image", "x"]}}),
            "methods.d.encoders[1]: 'x' does not fit; expected image or pixel",
        ),
        (
            changed(defaults={"dual": {}}),
            "defaults.dual: unknown key; known here: dual_autoencoder, dual_features, mean",
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


def values(schema: Mapping[str, Any]) -> st.SearchStrategy[Any]:
    """Values that a key's schema allows."""
    if "properties" in schema:
        return st.fixed_dictionaries(
            {}, optional={name: values(entry) for name, entry in schema["properties"].items()}
        )
    if "anyOf" in schema:
        return st.one_of(*map(values, schema["anyOf"]))
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    match schema.get("type"):
        case "integer":
            step = schema.get("multipleOf", 1)
            low, high = schema.get("minimum", -9), schema.get("maximum", 2000)
            return st.integers(-(-low // step), high // step).map(lambda value: value * step)
        case "number":
            low = schema.get("minimum", schema.get("exclusiveMinimum", -9))
            high = schema.get("maximum", schema.get("exclusiveMaximum", 1e6))
            return st.floats(
                low,
                high,
                exclude_min="exclusiveMinimum" in schema,
                exclude_max="exclusiveMaximum" in schema,
            )
        case "array":
            # A list of rates is as long as there are layers, which no schema can say.
            shortest = schema.get("minItems", 0)
            return st.lists(values(schema["items"]), min_size=shortest, max_size=3).filter(
                lambda entries: not schema.get("uniqueItems") or len(set(entries)) == len(entries)
            )
        case "boolean":
            return st.booleans()
        case "null":
            return st.none()
        case "string":
            return st.text("ab/._", min_size=1, max_size=5)
    return st.just({})


def parameters_of(family: str) -> Mapping[str, Any]:
    """The schema of a family's parameters, without what says on what and how often it runs."""
    properties = SCHEMA["$defs"][family]["properties"]
    design = ("family", "datasets", "repeats", "table")
    return {name: entry for name, entry in properties.items() if name not in design}


@pytest.mark.parametrize("family", FAMILIES)
@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_parameters_survive_the_way_to_a_script_and_back(family: str, data: st.DataObject) -> None:
    entry = data.draw(values({"properties": parameters_of(family)}))
    if isinstance(entry.get("dropout"), list):
        del entry["dropout"]
    if (threshold := entry.get("threshold", {})).get("rule") == "fixed":
        threshold["value"] = threshold.get("value") or 0.0
    if family == "utrad":
        # The length of a token is a bound of the number of heads.
        entry.pop("heads", None)
        entry["width"] = max(entry.get("width", 4), 4)
    config = changed(methods={"m": {"family": family, **entry}})
    complete_config(config)
    method = resolve_methods(config["methods"])["m"]
    for name, value in entry.items():
        if not isinstance(value, Mapping):
            assert plain(getattr(method.params, name)) == value
    again = {"family": family, **asdict(method.params)}
    assert resolve_methods({"m": again})["m"] == method


def bounds() -> list[tuple[str, str, float]]:
    """A value just outside every bound of a number of every family."""
    found = []
    for family in FAMILIES:
        for name, entry in parameters_of(family).items():
            outside = {
                "minimum": lambda bound: bound - 1,
                "exclusiveMinimum": lambda bound: bound,
                "maximum": lambda bound: bound + 1,
                "exclusiveMaximum": lambda bound: bound,
            }
            found += [
                (family, name, beyond(entry[kind]))
                for kind, beyond in outside.items()
                if kind in entry
            ]
    return found


@pytest.mark.parametrize(("family", "name", "value"), bounds())
def test_a_value_outside_a_bound_is_refused_by_key(family: str, name: str, value: float) -> None:
    text = message(changed(methods={"m": {"family": family, name: value}}))
    assert f"  methods.m.{name}: {value!r} does not fit; expected" in text


def test_no_share_or_rate_is_without_bounds() -> None:
    unbounded = {
        (family, name)
        for family in FAMILIES
        for name, entry in parameters_of(family).items()
        if entry.get("type") in ("integer", "number")
        and not {"minimum", "exclusiveMinimum"} & set(entry)
    }
    assert not unbounded


def test_every_key_has_a_stage_of_a_method() -> None:
    for about in FAMILIES.values():
        stages_of = {f.name: f.metadata["stage"] for f in fields(about.params)}
        assert set(stages_of.values()) <= {"search", "train", "score", "evaluate"}, about.title
    named = {f.name for f in fields(DualAutoencoderParams) if f.metadata["stage"] == "score"}
    assert named == {"score", "mc"}


def test_a_key_of_an_unknown_stage_is_refused_where_it_is_declared() -> None:
    with pytest.raises(ValueError, match="no stage 'fit'; choose one of data, evaluate"):
        key("a key", 1, stage="fit")  # type: ignore[arg-type]
