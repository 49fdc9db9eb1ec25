"""Configuration keys: each is a field of a dataclass, with its text, bounds and stage beside it.

From the fields come the JSON schema, the tables of `config/README.md`, the error messages and the
lists of what each stage of a method depends on. Pydantic could do the first of these; importing it
takes a quarter of a second, and every job of the workflow would pay for it.
"""

import dataclasses
import types
from collections.abc import Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from functools import cache
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

Stage = Literal["search", "train", "score", "evaluate"]
"""Stages of a method, in the order in which they run."""

KeyStage = Stage | Literal["data", "split", "report"]
"""What a key can change first: a stage of a method, or what is done with a dataset."""

_KEY_STAGES = frozenset(name for part in get_args(KeyStage) for name in get_args(part))


def key(
    text: str,
    default: Any = MISSING,
    *,
    stage: KeyStage = "search",
    minimum: float | None = None,
    above: float | None = None,
    maximum: float | None = None,
    below: float | None = None,
    multiple: int | None = None,
    empty: bool = False,
    unique: bool = False,
    omitted: str = "",
    schema: Mapping[str, Any] | None = None,
) -> Any:
    """Declare one configuration key as a field of a frozen dataclass.

    The annotation of the field gives the type: `Literal` for choices, `tuple[T, ...]` for a list,
    a dataclass for a mapping.

    Parameters
    ----------
    text
        What the key means, for the schema, the documentation and the messages. It is a phrase
        without a full stop; code stands in backticks.
    default
        The value where the key is left out; without one the key is required.
    stage
        The first stage whose result the key can change. A method's key has a `Stage`; fitting a
        control counts as `train`. A dataset's key has `data`, `split` or `report`. The keys of
        other sections have no stage and leave this argument out.
    minimum, above, maximum, below
        Bounds of a number, or of every number of a list: `minimum` and `maximum` are allowed
        values, `above` and `below` are not.
    multiple
        What an integer has to be a multiple of.
    empty
        Whether a list or a text may be empty.
    unique
        Whether the entries of a list have to differ.
    omitted
        What leaving the key out means where that is no value, such as `all`; null is not allowed
        then.
    schema
        The JSON schema of the value, for types that an annotation cannot express.

    Raises
    ------
    ValueError
        If there is no such stage, when the module that declares the key is imported.
    """
    if stage not in _KEY_STAGES:
        raise ValueError(f"no stage {stage!r}; choose one of {', '.join(sorted(_KEY_STAGES))}")
    bounds = {
        "minimum": minimum,
        "exclusiveMinimum": above,
        "maximum": maximum,
        "exclusiveMaximum": below,
        "multipleOf": multiple,
    }
    metadata = {
        "text": text,
        "stage": stage,
        "bounds": {name: bound for name, bound in bounds.items() if bound is not None},
        "empty": empty,
        "unique": unique,
        "omitted": omitted,
        "schema": schema,
    }
    if isinstance(default, dict):
        return dataclasses.field(default_factory=default.copy, metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


def object_schema(parameters: type, description: str = "") -> dict[str, Any]:
    """JSON schema of the mapping that a dataclass of keys describes; unknown keys are errors."""
    schema: dict[str, Any] = {"description": description} if description else {}
    schema |= {"type": "object", "additionalProperties": False}
    if required := [field.name for field in fields(parameters) if not has_default(field)]:
        schema["required"] = required
    schema["properties"] = {
        field.name: key_schema(field, annotation)
        for field, annotation in annotated(parameters).items()
    }
    return schema


def key_schema(field: "Field[Any]", annotation: Any) -> dict[str, Any]:
    """JSON schema of one key, with its default and, as its description, what is expected."""
    schema = dict(field.metadata["schema"] or _value_schema(annotation, field.metadata))
    words = _words(field, schema)
    text = field.metadata["text"].replace("`", "")
    result = {"description": f"{text}; {words}" if words else text, **schema}
    if has_default(field) and "properties" not in schema and not field.metadata["omitted"]:
        result["default"] = plain(default_of(field))
    return result


def rows(parameters: type, inherited: bool = False) -> list[tuple[str, str, str, str]]:
    """The rows of a table of keys for the documentation.

    Parameters
    ----------
    parameters
        A dataclass of keys.
    inherited
        Whether keys of the classes that it derives from are listed as well.

    Returns
    -------
    list
        Key, default, allowed values and meaning of every key, in order.
    """
    own = parameters.__annotations__
    listed = []
    for field, annotation in annotated(parameters).items():
        if not inherited and field.name not in own:
            continue
        schema = field.metadata["schema"] or _value_schema(annotation, field.metadata)
        words = _words(field, schema, code="`")
        default = _default_text(field, schema)
        listed.append((field.name, default, words or "a mapping", field.metadata["text"]))
    return listed


def stages(parameters: type) -> dict[str, str]:
    """The first stage that each key can change, by the key's name."""
    return {field.name: field.metadata["stage"] for field in fields(parameters)}


def default_of(field: "Field[Any]") -> Any:
    """The value of a key that is left out."""
    if field.default_factory is not MISSING:
        return field.default_factory()
    return field.default


def plain(value: Any) -> Any:
    """Tuples as lists and dataclasses as mappings, throughout: what YAML can hold."""
    if is_dataclass(value) and not isinstance(value, type):
        value = dataclasses.asdict(value)
    if isinstance(value, Mapping):
        return {name: plain(entry) for name, entry in value.items()}
    return [plain(entry) for entry in value] if isinstance(value, list | tuple) else value


def describe(schema: Mapping[str, Any], code: str = "") -> str:
    """Say in words which values a schema allows; empty for a mapping and where anything goes.

    Parameters
    ----------
    schema
        A schema that `key_schema` made.
    code
        What surrounds values, such as a backtick.
    """
    if "anyOf" in schema:
        return _joined([words for part in schema["anyOf"] for words in _alternatives(part, code)])
    if "enum" in schema:
        return _joined(_alternatives(schema, code))
    match schema.get("type"):
        case "boolean":
            return f"{code}true{code} or {code}false{code}"
        case "null":
            return f"{code}null{code}"
        case "string":
            return "a text"
        case "integer" | "number":
            return _number(schema)
        case "array":
            entries = describe(schema["items"], code) or "values"
            different = "different entries, each" if schema.get("uniqueItems") else "entries, each"
            return f"a list of {different} {entries}"
    return ""


def _words(field: "Field[Any]", schema: Mapping[str, Any], code: str = "") -> str:
    """Say in words which values a key allows, unless its own text has to say it."""
    own = field.metadata["schema"] is not None and "enum" not in schema
    return "" if own else describe(schema, code)


@cache
def annotated(parameters: type) -> dict["Field[Any]", Any]:
    """The fields of a dataclass of keys, each with its annotation."""
    hints = get_type_hints(parameters)
    return {field: hints[field.name] for field in fields(parameters)}


def has_default(field: "Field[Any]") -> bool:
    """Whether a key can be left out."""
    return field.default is not MISSING or field.default_factory is not MISSING


def _value_schema(annotation: Any, metadata: Mapping[str, Any]) -> dict[str, Any]:
    if is_dataclass(annotation):
        return object_schema(annotation)  # type: ignore[arg-type]
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return {"enum": list(arguments)}
    if origin in (Union, types.UnionType):
        parts = [a for a in arguments if a is not type(None) or not metadata["omitted"]]
        schemas = [_value_schema(part, metadata) for part in parts]
        return schemas[0] if len(schemas) == 1 else {"anyOf": schemas}
    if origin is tuple:
        items = _value_schema(arguments[0], metadata)
        schema: dict[str, Any] = {"type": "array", "items": _worded(items)}
        schema |= {} if metadata["empty"] else {"minItems": 1}
        return schema | ({"uniqueItems": True} if metadata["unique"] else {})
    if annotation in (int, float):
        return {"type": "integer" if annotation is int else "number", **metadata["bounds"]}
    if annotation is str:
        return {"type": "string"} | ({} if metadata["empty"] else {"minLength": 1})
    simple = {bool: "boolean", type(None): "null"}
    if annotation in simple:
        return {"type": simple[annotation]}
    return {"type": "object"} if origin is not None else {}


def _worded(schema: dict[str, Any]) -> dict[str, Any]:
    words = describe(schema)
    return {"description": words, **schema} if words else schema


def _alternatives(schema: Mapping[str, Any], code: str) -> list[str]:
    if "enum" in schema:
        return [f"{code}{_yaml(value)}{code}" for value in schema["enum"]]
    return [describe(schema, code)]


def _number(schema: Mapping[str, Any]) -> str:
    """Say in words which numbers a schema allows."""
    noun = "integer" if schema["type"] == "integer" else "number"
    low, high = schema.get("minimum"), schema.get("maximum")
    above, below = schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum")
    lower = f"of {low} or more" if low is not None else f"above {above}"
    upper = f"at most {high}" if high is not None else f"below {below}"
    multiple = f"and a multiple of {schema['multipleOf']}" if "multipleOf" in schema else ""
    if low is not None and high is not None:
        words = f"from {low} to {high}"
    elif (above, below) == (0, 1):
        words = "between 0 and 1, both excluded"
    elif high is not None or below is not None:
        words = f"{lower} and {upper}" if low is not None or above is not None else upper
    elif above == 0 or (low == 1 and noun == "integer"):
        return f"a positive {noun} {multiple}".strip()
    else:
        words = lower if low is not None or above is not None else ""
    article = "an" if noun == "integer" else "a"
    return " ".join(filter(None, [article, noun, words, multiple]))


def _joined(parts: list[str]) -> str:
    """Alternatives in words; a comma before the last one where they hold commas themselves."""
    named = [part for part in parts if part]
    before = ", or " if any("," in part for part in named) else " or "
    return before.join(filter(None, [", ".join(named[:-1]), *named[-1:]]))


def _default_text(field: "Field[Any]", schema: Mapping[str, Any]) -> str:
    if field.metadata["omitted"]:
        return str(field.metadata["omitted"])
    if not has_default(field):
        return "required"
    default = plain(default_of(field))
    if "properties" in schema:
        # A table of their own has what the keys of the mapping are by default.
        usual = {name: key.get("default") for name, key in schema["properties"].items()}
        default = {name: value for name, value in default.items() if value != usual[name]}
    return f"`{_yaml(default)}`"


def _yaml(value: Any) -> str:
    """A value as YAML writes it in a line."""
    if isinstance(value, list):
        return f"[{', '.join(map(_yaml, value))}]"
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{name}: {_yaml(entry)}' for name, entry in value.items())}}}"
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and "e" in (text := repr(value)) and "." not in text:
        # YAML 1.1 takes a number with an exponent and without a point for text.
        return text.replace("e", ".0e")
    return str(value) if value != "" else '""'
