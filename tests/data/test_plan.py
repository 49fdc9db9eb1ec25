"""Eqs. 24 and 25 against values worked out by hand."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dualad.data.plan import Plan, Seeds, adaptive_batch_size, make_plan
from dualad.errors import DualadError


@pytest.mark.parametrize(
    ("n_images", "value", "batch_size", "clamped"),
    [
        (20, -1.92, 1, True),
        (22, -0.09, 1, True),
        (23, 0.77, 1, True),
        (24, 1.59, 1, False),
        (262, 46.72, 46, False),
        (5856, 81.60, 81, False),
        (6300, 81.02, 81, False),
        (6301, 84.47, 84, False),
        (26_684, 370.90, 370, False),
        (84_484, -122.92, 1, True),
    ],
)
def test_batch_size_follows_the_formula(
    n_images: int, value: float, batch_size: int, clamped: bool
) -> None:
    plan = make_plan(n_images, n_images)
    assert adaptive_batch_size(n_images) == pytest.approx(value, abs=0.005)
    assert plan.formula_value == adaptive_batch_size(n_images)
    assert (plan.batch_size, plan.clamped) == (batch_size, clamped)
    assert plan.regime == ("small" if n_images <= 6300 else "large")


def test_batch_is_no_larger_than_the_training_set() -> None:
    plan = make_plan(262, 30)
    assert (plan.batch_size, plan.clamped) == (30, True)


def test_seeds_are_numbered_in_the_pseudocodes_order() -> None:
    assert Seeds.dynamic(262) == Seeds(numpy=62, tensorflow=63, python=64)
    assert Seeds.dynamic(26_684) == Seeds(numpy=84, tensorflow=85, python=86)
    assert Seeds.dynamic(400) == Seeds(0, 1, 2)
    assert Seeds.fixed(42) == Seeds(42, 43, 44)


@given(st.integers(1, 200_000), st.integers(1, 200_000))
def test_any_size_gives_a_usable_plan_that_survives_json(n_images: int, n_train: int) -> None:
    plan = make_plan(n_images, n_train)
    assert 1 <= plan.batch_size <= n_train
    assert plan.clamped == (math.floor(plan.formula_value) != plan.batch_size)
    assert Plan.from_json(json.loads(json.dumps(plan.to_json()))) == plan


@pytest.mark.parametrize(("n_images", "n_train"), [(0, 0), (10, 0)])
def test_nothing_to_train_on_is_an_error(n_images: int, n_train: int) -> None:
    with pytest.raises(DualadError, match="normal images"):
        make_plan(n_images, n_train)
