"""Checking the workflow's configuration against its schema, and filling in the defaults."""

import difflib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

from dualad.design.experiments import nested
from dualad.errors import DualadError

_EXPONENT_WITHOUT_DOT = re.compile(r"[-+]?\d+[eE][-+]?\d+")
_SECTIONS_WITH_DEFAULTS = ("evaluation", "compute")


def complete_config(config: Mapping[str, Any], schema_path: Path) -> dict[str, Any]:
    """Check a configuration and fill in the general settings that it leaves out.

    Parameters
    ----------
    config
        The merged configuration, as read from YAML.
    schema_path
        JSON schema (draft 2020-12) in YAML, whose `default`s are filled in for the top-level keys
        and for the keys of `evaluation` and `compute`. Method parameters keep their gaps:
        `dualad.design.experiments.resolve_methods` fills them, the `defaults` section first.

    Returns
    -------
    dict
        A new configuration; `config` is left alone.

    Raises
    ------
    DualadError
        When anything is wrong; the message has a line for each wrong key, with its full name.
    """
    schema = yaml.safe_load(schema_path.read_text(encoding="utf-8"))
    definitions = schema["$defs"]
    problems: dict[str, str] = {}
    for error in sorted(Draft202012Validator(schema).iter_errors(config), key=_position):
        for key, problem in _explain(error, definitions):
            problems.setdefault(key, problem)
    # Studies are read only where everything that they refer to is sound.
    problems = problems or dict(_study_problems(config, schema))
    if problems:
        raise DualadError(
            "the configuration is wrong (config/README.md explains every key):\n"
            + "\n".join(f"  {key}: {problem}" for key, problem in problems.items())
        )
    complete = {**_defaults(schema), **config}
    for section in _SECTIONS_WITH_DEFAULTS:
        complete[section] = {**_defaults(schema["properties"][section]), **complete[section]}
    return complete


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
        validator = Draft202012Validator(family)
        for error in validator.iter_errors(entry.get("overrides", {})):
            yield from (
                (f"{where}.overrides.{key}", problem)
                for key, problem in _explain(error, definitions)
            )
        for i, value in enumerate(entry.get("values", [])):
            for error in validator.iter_errors(nested(entry["factor"], value)):
                unknown = error.validator == "additionalProperties"
                key = f"{where}.factor" if unknown else f"{where}.values[{i}]"
                yield from ((key, problem) for _, problem in _explain(error, definitions))


def _defaults(schema: Mapping[str, Any]) -> dict[str, Any]:
    return {k: v["default"] for k, v in schema["properties"].items() if "default" in v}


def _position(error: ValidationError) -> str:
    return str(error.json_path)


def _key(error: ValidationError, *more: str) -> str:
    key = ""
    for part in (*error.absolute_path, *more):
        key += f"[{part}]" if isinstance(part, int) else f".{part}" if key else part
    return key or "the configuration"


def _explain(error: ValidationError, definitions: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Pairs of a key's full name and what is wrong with it."""
    match error.validator:
        case "additionalProperties":
            known = list(error.schema["properties"])
            for key in error.instance:
                if key not in known:
                    yield _key(error, str(key)), f"unknown key; {_known(str(key), known)}"
        case "required":
            for key in error.validator_value:
                if key not in error.instance:
                    wanted = error.schema.get("properties", {}).get(key, {})
                    yield _key(error, key), f"missing{_expected(wanted, definitions)}"
        case "minProperties" | "minItems":
            yield _key(error), "needs at least one entry"
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


def _known(key: str, known: list[str]) -> str:
    close = difflib.get_close_matches(key, known, n=1)
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
    allowed = (
        f"one of {', '.join(map(str, error.validator_value))}"
        if error.validator == "enum"
        else error.schema.get("description", "")
    )
    if not allowed:
        return str(error.message)
    if _is_quoted_number(value):
        allowed += (
            "; this is text, through quotes or as a nested value of --config: "
            "write it into a file and add that to --configfile"
        )
    return f"{value!r} does not fit; expected {allowed}"


def _is_quoted_number(value: object) -> bool:
    return isinstance(value, str) and isinstance(yaml.safe_load(value), int | float)
