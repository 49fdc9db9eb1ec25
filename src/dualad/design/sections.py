"""Keys of the configuration's sections that are no method's parameters."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from dualad.design.datasets import ENTRIES
from dualad.design.families import FAMILIES
from dualad.design.keys import key
from dualad.design.parameters import ComputeParams, EvaluationParams

RESERVED_NAMES = (
    *("figures", "tables", "paper", "logs", "benchmarks", "sweeps", "batch_search", "search"),
)
"""Names in the results folder that no dataset and no method may have."""

_NAME = {
    "type": "string",
    "pattern": "^[A-Za-z][A-Za-z0-9_-]*$",
    "not": {"enum": list(RESERVED_NAMES)},
}


def _named(entries: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "object", "propertyNames": _NAME, "additionalProperties": dict(entries)}


@dataclass(frozen=True)
class StudyKeys:
    """Keys that a sweep and Algorithm 1 share."""

    method: str = key("name of the method")
    datasets: tuple[str, ...] | None = key(
        "names of the datasets", None, omitted="all", unique=True
    )
    overrides: Mapping[str, Any] = key("other keys in which the study differs from the method", {})


@dataclass(frozen=True, kw_only=True)
class SweepKeys(StudyKeys):
    """Keys of an entry of `sweeps`."""

    factor: str = key("key of the method to vary, nested ones as in `mc.samples`")
    values: tuple[Any, ...] = key("values to try", unique=True)


@dataclass(frozen=True, kw_only=True)
class BatchSearchKeys(StudyKeys):
    """Keys of the section `batch_search`."""

    epsilon: int = key("distance of two batch sizes at which the search ends", 10, minimum=1)


@dataclass(frozen=True)
class MethodKeys:
    """Keys of a method that say on what and how often it runs."""

    family: str = key("detector", schema={"enum": list(FAMILIES)})
    datasets: tuple[str, ...] | None = key(
        "names of the datasets that the method runs on", None, omitted="all", unique=True
    )
    repeats: int | None = key(
        "number of runs under different seeds; tables then show mean and standard deviation",
        None,
        omitted="1",
        minimum=1,
    )
    table: Literal["encoders", "ablation"] | tuple[Literal["encoders", "ablation"], ...] | None = (
        key(
            "comparison that the method belongs to: `encoders` is Table 8, `ablation` is Table 9. "
            "Differences are taken from the comparison's first method in the file",
            None,
            omitted="none",
            unique=True,
        )
    )


@dataclass(frozen=True)
class ReaderKey:
    """The key that decides which other keys a dataset's entry has."""

    reader: str = key("layout of the images", schema={"enum": list(ENTRIES)})


@dataclass(frozen=True)
class TopLevelKeys:
    """Keys at the top level of a configuration."""

    datasets: Mapping[str, Any] = key(
        "names of datasets, each with an entry",
        schema={**_named({"$ref": "#/$defs/dataset"}), "minProperties": 1},
    )
    methods: Mapping[str, Any] = key(
        "names of methods, each with a `family` and overrides of that family's defaults",
        schema={**_named({"$ref": "#/$defs/method"}), "minProperties": 1},
    )
    defaults: Mapping[str, Any] = key(
        "defaults for all methods of a family, by family",
        {},
        schema={
            "type": "object",
            "additionalProperties": False,
            "properties": {family: {"$ref": f"#/$defs/{family}"} for family in FAMILIES},
        },
    )
    sweeps: Mapping[str, Any] = key(
        "names of sweeps, each with a method, one of its keys, and the values to try",
        {},
        schema=_named({"$ref": "#/$defs/sweep"}),
    )
    batch_search: Mapping[str, Any] | None = key(
        "method and datasets of Algorithm 1; null for no search",
        None,
        schema={"if": {"not": {"type": "null"}}, "then": {"$ref": "#/$defs/batch_search"}},
    )
    reference: str | None = key(
        "name of the method that the table `differences` compares all others with; null for the "
        "first one of the family `padim`, if there is any",
        None,
    )
    image_size: int = key("side in pixels to which images are resized", 68, minimum=8, maximum=512)
    allow_gaps: bool = key(
        "whether tables, figures and the report are made from the results that exist; the rest "
        "are gaps in them. It is for use after a failure: `--config allow_gaps=True`",
        False,
    )
    evaluation: EvaluationParams = key(
        "settings of the evaluator, the same for every method", EvaluationParams()
    )
    compute: ComputeParams = key("what a job may use", ComputeParams())
