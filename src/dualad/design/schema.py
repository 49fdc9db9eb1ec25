"""The schema of the configuration: checking against it, filling in defaults, writing it down."""

import difflib
import math
import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

import yaml
from jsonschema import Draft202012Validator, validators
from jsonschema.exceptions import ValidationError

from dualad.design import keys
from dualad.design.datasets import ENTRIES, FolderEntry, downloads_of
from dualad.design.experiments import nested
from dualad.design.families import FAMILIES
from dualad.design.keys import describe, key_schema, object_schema
from dualad.design.parameters import ComputeParams, EvaluationParams
from dualad.design.sections import (
    BatchSearchKeys,
    MethodKeys,
    ReaderKey,
    SweepKeys,
    TopLevelKeys,
)
from dualad.errors import DualadError

_WHOLE = "the configuration"
_EXPONENT_WITHOUT_DOT = re.compile(r"[-+]?\d+[eE][-+]?\d+")
_BARE_WORD = "YAML reads a bare off, no, on or yes as true or false, and digits as a number"
_Validator = validators.extend(
    Draft202012Validator,
    # 3.0 is no number of epochs, and infinity no learning rate.
    type_checker=Draft202012Validator.TYPE_CHECKER.redefine_many(
        {
            "integer": lambda _, value: isinstance(value, int) and not isinstance(value, bool),
            "number": lambda _, value: (
                isinstance(value, int | float)
                and not isinstance(value, bool)
                and math.isfinite(value)
            ),
            # Resolved methods hold tuples.
            "array": lambda _, value: isinstance(value, list | tuple),
        }
    ),
)
_SECTIONS_WITH_DEFAULTS = {
    "evaluation": EvaluationParams,
    "compute": ComputeParams,
}


@cache
def config_schema() -> dict[str, Any]:
    """The JSON schema (draft 2020-12) of a configuration, made from the fields of the keys."""
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Configuration of the dualad workflow",
        **object_schema(TopLevelKeys, "unknown keys are errors; config/README.md explains all"),
        "$defs": {
            "dataset": _choice("reader", ReaderKey, {name: f"{name}_dataset" for name in ENTRIES}),
            **{f"{reader}_dataset": _entry_schema(reader) for reader in ENTRIES},
            "method": _choice("family", MethodKeys, {name: name for name in FAMILIES}),
            **{family: _family_schema(family) for family in FAMILIES},
            "sweep": object_schema(SweepKeys, "a mapping with a method, a factor and values"),
            "batch_search": object_schema(BatchSearchKeys, "a mapping with a method"),
        },
    }
    for section in _SECTIONS_WITH_DEFAULTS:
        # Snakemake and editors fill a section in from the defaults of its keys.
        schema["properties"][section]["default"] = {}
    return schema


def _choice(name: str, chosen: type, definitions: Mapping[str, str]) -> dict[str, Any]:
    """A mapping whose key `name` decides which definition holds for it."""
    field, annotation = next(
        (field, annotation)
        for field, annotation in keys.annotated(chosen).items()
        if field.name == name
    )
    return {
        "description": f"a mapping with the key {name}",
        "type": "object",
        "required": [name],
        "properties": {name: key_schema(field, annotation)},
        "allOf": [
            {
                "if": {
                    "type": "object",
                    "required": [name],
                    "properties": {name: {"const": value}},
                },
                "then": {"$ref": f"#/$defs/{definition}"},
            }
            for value, definition in definitions.items()
        ],
    }


def _entry_schema(reader: str) -> dict[str, Any]:
    """What may stand beside `reader` in a dataset's entry."""
    entry = ENTRIES[reader]
    schema = object_schema(entry)
    if issubclass(entry, FolderEntry):
        if downloads_of(entry):
            schema["oneOf"] = [{"required": ["path"]}, {"required": ["download"]}]
        else:
            schema["required"] = ["path"]
    return {**schema, "properties": {"reader": True, **schema["properties"]}}


def _family_schema(family: str) -> dict[str, Any]:
    """What may stand in a method's entry, and in the family's defaults."""
    about = FAMILIES[family]
    schema = object_schema(about.params, f"a mapping with keys of the family {family}")
    design = object_schema(MethodKeys)["properties"]
    return {**schema, "properties": {**design, "family": True, **schema["properties"]}}


def complete_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """Check a configuration and fill in the general settings that it leaves out.

    Parameters
    ----------
    config
        The merged configuration, as read from YAML.

    Returns
    -------
    dict
        A new configuration, with the defaults of the top level, of `evaluation` and of `compute`;
        `config` is left alone. Method parameters keep their gaps:
        `dualad.design.experiments.resolve_methods` fills them, the `defaults` section first.

    Raises
    ------
    DualadError
        When anything is wrong; the message has a line for each wrong key, with its full name.
    """
    problems = dict(_name_problems(config))
    schema = config_schema()
    if not problems:
        for error in sorted(_Validator(schema).iter_errors(config), key=_position):
            for name, problem in _explain(error, schema["$defs"]):
                problems.setdefault(name, problem)
    # Studies are read only where everything that they refer to is sound.
    problems = problems or dict(_study_problems(config, schema))
    if problems:
        raise DualadError(
            "the configuration is wrong (config/README.md explains every key):\n"
            + "\n".join(f"  {name}: {problem}" for name, problem in problems.items())
        )
    complete = {**_defaults(TopLevelKeys), **config}
    for section, keys_of_section in _SECTIONS_WITH_DEFAULTS.items():
        complete[section] = {**_defaults(keys_of_section), **config.get(section, {})}
    return complete


def check_entry(where: str, entry: Mapping[str, Any]) -> None:
    """Check a dataset's entry.

    Parameters
    ----------
    where
        Full name of the entry, such as `datasets.parts`.
    entry
        A mapping with the key `reader`.

    Raises
    ------
    DualadError
        With a line for each wrong key.
    """
    schema = config_schema()
    validator = _Validator({"$ref": "#/$defs/dataset", "$defs": schema["$defs"]})
    problems: dict[str, str] = {}
    for error in sorted(validator.iter_errors(entry), key=_position):
        for name, problem in _explain(error, schema["$defs"]):
            problems.setdefault(name, problem)
    if problems:
        raise DualadError(
            "\n".join(
                f"{where}.{name}: {problem}" if name != _WHOLE else f"{where}: {problem}"
                for name, problem in problems.items()
            )
        )


def _name_problems(config: Mapping[str, Any], where: str = "") -> Iterator[tuple[str, str]]:
    """Keys that YAML did not read as text."""
    for name, value in config.items():
        full = f"{where}.{name}" if where else str(name)
        if not isinstance(name, str):
            yield full, f"{_BARE_WORD}: quote the name, or choose another"
        elif isinstance(value, Mapping):
            yield from _name_problems(value, full)


def _study_problems(
    config: Mapping[str, Any], schema: Mapping[str, Any]
) -> Iterator[tuple[str, str]]:
    """What is wrong with values and overrides of studies, as keys of their methods' families."""
    definitions = schema["$defs"]
    studies = {f"sweeps.{name}": entry for name, entry in config.get("sweeps", {}).items()}
    studies["batch_search"] = config.get("batch_search") or {}
    for where, entry in studies.items():
        method = config["methods"].get(entry.get("method"))
        if method is None:
            continue
        family = {"$ref": f"#/$defs/{method['family']}", "$defs": definitions}
        validator = _Validator(family)
        for error in validator.iter_errors(entry.get("overrides", {})):
            yield from (
                (f"{where}.overrides.{name}", problem)
                for name, problem in _explain(error, definitions)
            )
        for i, value in enumerate(entry.get("values", [])):
            for error in validator.iter_errors(nested(entry["factor"], value)):
                unknown = error.validator == "additionalProperties"
                name = f"{where}.factor" if unknown else f"{where}.values[{i}]"
                yield from ((name, problem) for _, problem in _explain(error, definitions))


def _defaults(parameters_of: type) -> dict[str, Any]:
    return {
        field.name: keys.plain(keys.default_of(field))
        for field in keys.annotated(parameters_of)
        if keys.has_default(field)
    }


def _position(error: ValidationError) -> str:
    return str(error.json_path)


def _key(error: ValidationError, *more: str) -> str:
    name = ""
    for part in (*error.absolute_path, *more):
        name += f"[{part}]" if isinstance(part, int) else f".{part}" if name else part
    return name or _WHOLE


def _explain(error: ValidationError, definitions: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Pairs of a key's full name and what is wrong with it."""
    match error.validator:
        case "additionalProperties":
            known = list(error.schema["properties"])
            for name in error.instance:
                if name not in known:
                    yield _key(error, str(name)), f"unknown key; {_known(str(name), known)}"
        case "required":
            for name in error.validator_value:
                if name not in error.instance:
                    wanted = error.schema.get("properties", {}).get(name, {})
                    yield _key(error, name), f"missing{_expected(wanted, definitions)}"
        case "oneOf":
            yield from _explain_source(error)
        case "minProperties" | "minItems":
            yield _key(error), "needs at least one entry"
        case "minLength":
            yield _key(error), f"is empty; expected {error.schema.get('description', 'a text')}"
        case "uniqueItems":
            yield _key(error), f"{error.instance!r} names something twice; drop one"
        case "pattern" if "propertyNames" in error.absolute_schema_path:
            yield (
                _key(error, error.instance),
                "a name consists of letters, digits, - and _, and begins with a letter",
            )
        case "not":
            yield _key(error, error.instance), "the results folder needs this name for itself"
        case _:
            yield _key(error), _mismatch(error)


def _explain_source(error: ValidationError) -> Iterator[tuple[str, str]]:
    """What is wrong with where the images of a dataset come from."""
    downloads = " or ".join(error.schema["properties"]["download"]["enum"])
    if "path" in error.instance:
        yield _key(error, "download"), "stands beside path; drop one of the two"
    else:
        yield (
            _key(error, "path"),
            f"missing; give the path of the data, or download: {downloads}",
        )


def _known(name: str, known: list[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {close[0]}?" if close else f"known here: {', '.join(known)}"


def _expected(wanted: Mapping[str, Any], definitions: Mapping[str, Any]) -> str:
    if "$ref" in wanted:
        wanted = definitions[wanted["$ref"].rpartition("/")[2]]
    if "enum" in wanted:
        return f"; choose one of {', '.join(map(str, wanted['enum']))}"
    description = wanted.get("description")
    return f"; expected {description}" if description else ""


def _mismatch(error: ValidationError) -> str:
    value = error.instance
    if isinstance(value, str) and _EXPONENT_WITHOUT_DOT.fullmatch(value):
        mantissa, exponent = re.split("[eE]", value)
        return f"YAML reads {value} as text; write {mantissa}.0e{exponent}"
    allowed = error.schema.get("description", "") or describe(error.schema)
    if not allowed:
        return str(error.message)
    if _is_quoted_number(value):
        allowed += (
            "; this is text, through quotes or as a nested value of --config: "
            "write it into a file and add that to --configfile"
        )
    if isinstance(value, bool) and error.schema.get("type") == "string":
        allowed += f"; {_BARE_WORD}: quote it"
    return f"{value!r} does not fit; expected {allowed}"


def _is_quoted_number(value: object) -> bool:
    return isinstance(value, str) and isinstance(yaml.safe_load(value), int | float)
