"""The design of the experiments: methods, repeats and sweeps, and which stages they share.

An experiment is a dataset and a method. A method is a name, a family and overrides of the family's
defaults; a repeat is the method under another seed; a sweep is a method with one key set to one
value after another.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, is_dataclass, replace
from functools import cached_property
from math import isfinite
from typing import Any, TypeVar, get_args

from dualad.design.families import FAMILIES, Family
from dualad.design.keys import Stage, stages
from dualad.design.parameters import (
    AdaptiveParams,
    CommonParams,
    DualAutoencoderParams,
    UtradParams,
)
from dualad.design.sections import BatchSearchKeys, MethodKeys
from dualad.errors import DualadError

T = TypeVar("T")

REPEAT_MARK = "@"
"""Stands between a method's name and the number of a repeat: dual, dual@1, dual@2."""

_PAPER_SWEEPS = {
    "seed": "fig07_seed_sensitivity",
    "batch_size": "fig08_batch_size",
    "epochs": "fig09_epochs",
    "dropout": "fig10_dropout",
}
_SUPERVISED_CONTROL = "pixels_supervised"
_DESIGN_KEYS = tuple(field.name for field in fields(MethodKeys) if field.name != "family")
_STAGES: tuple[Stage, ...] = get_args(Stage)


@dataclass(frozen=True)
class Method:
    """A named experiment arm: a family and its parameters, defaults filled in."""

    name: str
    family: str
    params: CommonParams
    datasets: tuple[str, ...] | None = None
    """Names of the datasets that it runs on; None for all."""
    tables: tuple[str, ...] = ()
    """The comparisons that it belongs to: `encoders` (Table 8), `ablation` (Table 9)."""

    @property
    def base(self) -> str:
        """Name of the method that it repeats; its own name if it is no repeat."""
        return self.name.partition(REPEAT_MARK)[0]

    @property
    def about(self) -> Family:
        """The family's entry in the registry."""
        return FAMILIES[self.family]

    @property
    def tunes_dropout(self) -> bool:
        """Whether a search comes before training."""
        return getattr(self.params, "dropout", None) == "tuned"

    @property
    def input_size(self) -> int | None:
        """Side of the colour images that it sees; None if it sees the common grey ones."""
        return getattr(self.params, "input_size", None)

    @property
    def network(self) -> str | None:
        """Name of the method whose network it uses; None if it uses none."""
        return getattr(self.params, "network", None)

    def runs_on(self, dataset: str) -> bool:
        """Whether the experiment of this method on `dataset` is part of the design."""
        return self.datasets is None or dataset in self.datasets

    def covers(self, other: "Method") -> bool:
        """Whether this method runs on every dataset that `other` runs on."""
        if self.datasets is None:
            return True
        return other.datasets is not None and set(other.datasets) <= set(self.datasets)

    def stage_params(self, stage: Stage) -> dict[str, Any]:
        """The parameters that can change what `stage` computes, as plain values.

        These are the keys whose own stage is this one or an earlier one; those of the search count
        after it only for a method that searches.
        """
        return {"family": self.family, **self._stage_params[stage]}

    @cached_property
    def _stage_params(self) -> dict[Stage, dict[str, Any]]:
        params, first = asdict(self.params), stages(type(self.params))
        return {
            stage: {
                name: value
                for name, value in params.items()
                if _STAGES.index(first[name]) <= position
                and (name != "search" or stage == "search" or self.tunes_dropout)
            }
            for position, stage in enumerate(_STAGES)
        }


@dataclass(frozen=True)
class Sweep:
    """One key of a method, set to one value after another."""

    name: str
    base: Method
    """The method, with the sweep's overrides, before the key is set."""
    factor: str
    points: Mapping[str, Method]
    """A method per value, by the value's name in paths and figures."""
    datasets: tuple[str, ...]

    @property
    def needs_search(self) -> bool:
        """Whether the points train with dropout rates that a search has found."""
        return any(point.tunes_dropout for point in self.points.values())


@dataclass(frozen=True)
class BatchSearchDesign:
    """Algorithm 1 on some datasets."""

    base: Method
    epsilon: int
    datasets: tuple[str, ...]

    @property
    def needs_search(self) -> bool:
        """Whether training takes the dropout rates that a search has found."""
        return self.base.tunes_dropout


def resolve_methods(
    methods: Mapping[str, Mapping[str, Any]],
    defaults: Mapping[str, Mapping[str, Any]] | None = None,
    datasets: Iterable[str] | None = None,
) -> dict[str, Method]:
    """Turn the configuration's `methods` and `defaults` sections into `Method`s, in order.

    A method with `repeats: R` is followed by R - 1 repeats of it, which differ in `repeat` alone.

    Parameters
    ----------
    methods, defaults
        The sections.
    datasets
        Names of the configuration's datasets, to check the methods' `datasets` against.

    Raises
    ------
    DualadError
        On an unknown family, dataset or key or a value of the wrong type; the message names the
        key.
    """
    resolved: dict[str, Method] = {}
    for name, entry in methods.items():
        method = _resolve_method(name, entry, defaults or {}, datasets)
        resolved |= {run.name: run for run in _runs(method, entry.get("repeats", 1))}
    return resolved


def resolve_sweeps(
    sweeps: Mapping[str, Mapping[str, Any]],
    methods: Mapping[str, Method],
    datasets: Iterable[str],
) -> dict[str, Sweep]:
    """Turn the configuration's `sweeps` section into `Sweep`s, in order.

    Raises
    ------
    DualadError
        On an unknown method, dataset or key, or for what a sweep cannot do; the message names the
        key.
    """
    resolved = {}
    for name, entry in sweeps.items():
        where = f"sweeps.{name}"
        base = _base_method(entry, methods, where)
        factor = entry["factor"]
        if name in _PAPER_SWEEPS and factor != name:
            raise DualadError(
                f"{where}.factor: a sweep called {name} is drawn as the paper's, which varies "
                f"{name}; give the sweep another name"
            )
        points: dict[str, Method] = {}
        for value in entry["values"]:
            params = _override(base.params, nested(factor, value), where)
            _check_together(params, f"{where}.values, {value}")
            label = _label(value)
            if label in points:
                raise DualadError(f"{where}.values: two values are called {label}; drop one")
            points[label] = replace(base, name=f"{name}={label}", params=params)
        _check_study(where, methods[entry["method"]], points.values())
        chosen = _known_datasets(entry.get("datasets"), datasets, f"{where}.datasets")
        resolved[name] = Sweep(name, base, factor, points, chosen or tuple(datasets))
    return resolved


def resolve_batch_search(
    entry: Mapping[str, Any] | None,
    methods: Mapping[str, Method],
    datasets: Iterable[str],
) -> BatchSearchDesign | None:
    """Turn the configuration's `batch_search` section into a design; None without one.

    Raises
    ------
    DualadError
        On an unknown method, dataset or key, or a method without a batch size; the message names
        the key.
    """
    if not entry:
        return None
    base = _base_method(entry, methods, "batch_search")
    if base.about.kind != "dual":
        raise DualadError(
            f"batch_search.method: {base.name} has no batch size to search; choose a method of the "
            "family dual_autoencoder"
        )
    _check_together(base.params, "batch_search.overrides")
    _check_study("batch_search", methods[entry["method"]], [base])
    chosen = _known_datasets(entry.get("datasets"), datasets, "batch_search.datasets")
    epsilon = BatchSearchKeys(**entry).epsilon
    return BatchSearchDesign(base, epsilon, chosen or tuple(datasets))


def sweep_stem(name: str) -> str:
    """Name of a sweep's figure without suffix: the paper's for its Figs. 7 to 10."""
    return _PAPER_SWEEPS.get(name, f"sweep_{name}")


def stage_owner(methods: Mapping[str, Method], name: str, stage: Stage) -> str:
    """Name of the method that computes `stage` for all methods that have the same one.

    The first that runs on every dataset that any of them runs on, so that nothing is computed for a
    dataset that its own design leaves out; the first of all if there is none.
    """
    wanted = methods[name].stage_params(stage)
    same = [
        other
        for other in methods.values()
        if other.stage_params(stage) == wanted
        and (stage != "search" or other.tunes_dropout or other.name == name)
    ]
    return next((method for method in same if all(map(method.covers, same))), same[0]).name


def network_owner(methods: Mapping[str, Method], name: str) -> str | None:
    """Name of the method whose network the named one uses; a repeat uses that of a repeat."""
    method = methods[name]
    if method.network is None:
        return None
    _, mark, repeat = name.partition(REPEAT_MARK)
    return f"{method.network}{mark}{repeat}"


def check_semi_supervised(methods: Mapping[str, Method]) -> None:
    """Check that networks exist which methods use, and that a control knows the same labels.

    Raises
    ------
    DualadError
        If a method's network is none, or a method that learns from labels with a network does not
        stand beside the control that learns from them without one; the message names the key.
    """
    for name, method in methods.items():
        owner = network_owner(methods, name)
        if owner is not None:
            _check_network(method, owner, methods)
            _check_control(method, methods)


def _check_network(method: Method, owner: str, methods: Mapping[str, Method]) -> None:
    trained = {
        name: other
        for name, other in methods.items()
        if isinstance(other.params, DualAutoencoderParams)
    }
    if method.network not in trained:
        choices = [name for name, other in trained.items() if name == other.base]
        remedy = f"choose one of {', '.join(choices)}" if choices else "add one to `methods`"
        raise DualadError(
            f"methods.{method.base}.network: no method {method.network!r} of the family "
            f"dual_autoencoder; {remedy}"
        )
    if owner not in trained:
        raise DualadError(
            f"methods.{method.base}.repeats: every run needs a network of its own; give "
            f"{method.network} at least as many repeats"
        )
    if not trained[owner].covers(method):
        raise DualadError(
            f"methods.{method.base}.datasets: {method.network}, whose network it uses, does not "
            "run on all of these datasets"
        )


def _check_control(method: Method, methods: Mapping[str, Method]) -> None:
    controls = (other for other in methods.values() if other.family == _SUPERVISED_CONTROL)
    if not any(control.covers(method) for control in controls):
        raise DualadError(
            f"methods.{method.base}: a method that learns from labels is shown beside the control "
            f"that learns from them without a network; add `{_SUPERVISED_CONTROL}: "
            f"{{family: {_SUPERVISED_CONTROL}}}` to `methods`, for the same datasets"
        )


def _resolve_method(
    name: str,
    entry: Mapping[str, Any],
    defaults: Mapping[str, Mapping[str, Any]],
    datasets: Iterable[str] | None,
) -> Method:
    where = f"methods.{name}"
    family = entry.get("family")
    if family not in FAMILIES:
        raise DualadError(
            f"{where}.family: unknown family {family!r}; choose one of {', '.join(FAMILIES)}"
        )
    common = _override(FAMILIES[family].params(), defaults.get(family, {}), f"defaults.{family}")
    overrides = {k: v for k, v in entry.items() if k not in ("family", *_DESIGN_KEYS)}
    params = _override(common, overrides, where)
    inherited = _conflict(params) == _conflict(common) and not overrides.keys() & _CHECKED_KEYS
    _check_together(params, f"defaults.{family}" if inherited else where)
    tables = entry.get("table", ())
    return Method(
        name,
        family,
        params,
        _known_datasets(entry.get("datasets"), datasets, f"{where}.datasets"),
        (tables,) if isinstance(tables, str) else tuple(tables),
    )


def _runs(method: Method, count: int) -> Iterator[Method]:
    """The method, and its repeats under other seeds."""
    yield method
    for repeat in range(1, count):
        params = replace(method.params, repeat=method.params.repeat + repeat)
        yield replace(method, name=f"{method.name}{REPEAT_MARK}{repeat}", params=params)


def _check_together(params: CommonParams, where: str) -> None:
    """Refuse values that are right by themselves and do not go together.

    Raises
    ------
    DualadError
        If there is a conflict; the message names `where`, the section to correct.
    """
    if conflict := _conflict(params):
        raise DualadError(f"{where}: {conflict}")


_CHECKED_KEYS = frozenset({"dropout", "heads", "threshold"})
"""Keys to correct where values do not go together."""


def _conflict(params: CommonParams) -> str | None:
    """What does not go together, and the remedy; None if all values do."""
    value = params.threshold.value
    if params.threshold.rule == "fixed" and (value is None or not isfinite(value)):
        return (
            f"threshold.value = {value} is no threshold, and the rule fixed takes it for "
            "one; give the score above which an image is anomalous"
        )
    if isinstance(params, UtradParams) and params.heads > params.width:
        return (
            f"heads = {params.heads} is more than width = {params.width}, the length of a token, "
            "which the heads divide; set fewer heads"
        )
    if not isinstance(params, AdaptiveParams) or not isinstance(params.dropout, tuple):
        return None
    names = params.dropout_names
    if len(params.dropout) == len(names):
        return None
    return (
        f"dropout has {len(params.dropout)} rates for {len(names)} dropout layers "
        f"({', '.join(names)}); give one for each layer, or one rate for all"
    )


def _base_method(entry: Mapping[str, Any], methods: Mapping[str, Method], where: str) -> Method:
    name = entry["method"]
    if name not in methods:
        raise DualadError(f"{where}.method: no method {name!r}; choose one of {', '.join(methods)}")
    base = methods[name]
    params = _override(base.params, entry.get("overrides", {}), f"{where}.overrides")
    return replace(base, params=params)


def _check_study(where: str, method: Method, points: Iterable[Method]) -> None:
    """Refuse what needs other images, or another search, than a study of the method has."""
    for point in points:
        if point.network is not None:
            raise DualadError(
                f"{where}.method: {method.name} uses the network of another method, a study trains "
                "its own; make every value a method of its own"
            )
        if point.input_size is not None:
            raise DualadError(
                f"{where}.method: {method.name} sees colour images, a study has the grey ones; "
                "make every value a method of its own"
            )
        if not isinstance(point.params, AdaptiveParams) or not point.tunes_dropout:
            continue
        if not isinstance(method.params, AdaptiveParams) or not method.tunes_dropout:
            raise DualadError(
                f"{where}: `dropout: tuned` takes the rates that the search of {method.name} "
                "found, which has none; give rates"
            )
        if point.params.search != method.params.search:
            raise DualadError(
                f"{where}: keys of `search` have no effect, for the rates are those that the "
                f"search of {method.name} found; make every value a method of its own"
            )
        if point.params.dropout_names != method.params.dropout_names:
            raise DualadError(
                f"{where}: the search of {method.name} found rates for another number of layers; "
                "add dropout to the overrides"
            )


def _known_datasets(
    chosen: Sequence[str] | None, datasets: Iterable[str] | None, where: str
) -> tuple[str, ...] | None:
    if chosen is None:
        return None
    known = chosen if datasets is None else tuple(datasets)
    for name in chosen:
        if name not in known:
            raise DualadError(f"{where}: no dataset {name!r}; choose among {', '.join(known)}")
    return tuple(chosen)


def nested(key: str, value: Any) -> dict[str, Any]:
    """`{a: {b: value}}` for the key `a.b`."""
    first, _, rest = key.partition(".")
    return {first: nested(rest, value) if rest else value}


def _label(value: Any) -> str:
    """A value's name, which is a folder's name too."""
    text = "-".join(map(str, value)) if isinstance(value, list) else str(value)
    return re.sub(r"[^\w.+-]", "_", text).strip(".") or "_"


def _override(params: T, values: Mapping[str, Any], where: str) -> T:
    known = {f.name: f for f in fields(params)}  # type: ignore[arg-type]
    changes: dict[str, Any] = {}
    for key, value in values.items():
        if key not in known:
            raise DualadError(f"{where}.{key}: unknown key; known here: {', '.join(known)}")
        current = getattr(params, key)
        if is_dataclass(current):
            if not isinstance(value, Mapping):
                raise DualadError(f"{where}.{key}: expected a mapping, got {value!r}")
            changes[key] = _override(current, value, f"{where}.{key}")
        else:
            changes[key] = tuple(value) if isinstance(value, list) else value
    return type(params)(**{f: changes.get(f, getattr(params, f)) for f in known})
