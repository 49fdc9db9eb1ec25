"""Methods of a configuration: overrides, and which stages they share."""

import pytest

from dualad.errors import DualadError
from dualad.experiments import resolve_methods, stage_owner
from dualad.params import DualAutoencoderParams

DUAL = {"family": "dual_autoencoder"}


def test_a_method_overrides_the_configurations_defaults() -> None:
    methods = resolve_methods(
        {"dual": DUAL, "short": {**DUAL, "epochs": 3, "search": {"trials": 2}}},
        {"dual_autoencoder": {"epochs": 7, "search": {"epochs": 5}}},
    )
    dual, short = methods["dual"].params, methods["short"].params
    assert isinstance(dual, DualAutoencoderParams) and isinstance(short, DualAutoencoderParams)
    assert (dual.epochs, dual.search.epochs, dual.search.trials) == (7, 5, 20)
    assert (short.epochs, short.search.epochs, short.search.trials) == (3, 5, 2)


def test_lists_become_tuples() -> None:
    params = resolve_methods({"m": {**DUAL, "encoders": ["image"]}})["m"].params
    assert isinstance(params, DualAutoencoderParams)
    assert params.encoders == ("image",)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"family": "dual"}, r"methods\.m\.family: unknown family 'dual'; choose one of"),
        ({}, r"methods\.m\.family: unknown family None"),
        ({**DUAL, "epoch": 3}, r"methods\.m\.epoch: unknown key; known here: .*epochs"),
        ({**DUAL, "search": {"trial": 3}}, r"methods\.m\.search\.trial: unknown key"),
        ({**DUAL, "search": 3}, r"methods\.m\.search: expected a mapping, got 3"),
    ],
)
def test_mistakes_name_the_key(entry: dict[str, object], message: str) -> None:
    with pytest.raises(DualadError, match=message):
        resolve_methods({"m": entry})


@pytest.mark.parametrize(
    ("override", "owners"),
    [
        ({"threshold": {"rule": "quantile"}}, ("dual", "dual", "dual")),
        ({"calibrator": "isotonic"}, ("dual", "dual", "dual")),
        ({"score": "blurred_z"}, ("dual", "dual", "m")),
        ({"mc": {"samples": 3}}, ("dual", "dual", "m")),
        ({"epochs": 500, "early_stopping": False, "attempts": 1}, ("dual", "m", "m")),
        ({"dropout": 0.2}, ("dual", "m", "m")),
        ({"batch_size": 128}, ("m", "m", "m")),
        ({"seed": 42}, ("m", "m", "m")),
        ({"encoders": ["image"]}, ("m", "m", "m")),
        ({"centering": True}, ("m", "m", "m")),
    ],
)
def test_stages_that_an_override_does_not_touch_are_shared(
    override: dict[str, object], owners: tuple[str, ...]
) -> None:
    methods = resolve_methods({"dual": DUAL, "m": {**DUAL, **override}})
    found = tuple(stage_owner(methods, "m", stage) for stage in ("search", "train", "score"))
    assert found == owners


def test_fixed_dropout_rates_do_not_depend_on_the_search() -> None:
    methods = resolve_methods(
        {
            "a": {**DUAL, "dropout": 0.2},
            "b": {**DUAL, "dropout": 0.2, "search": {"trials": 3}},
        }
    )
    assert stage_owner(methods, "b", "train") == "a"
