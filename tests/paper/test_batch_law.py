import math

import numpy as np
import pytest
from scipy.optimize import curve_fit

from dualad.data.plan import adaptive_batch_size
from dualad.paper.batch_law import (
    LARGEST,
    Branch,
    fit_batch_law,
    paper_law,
    paper_optima,
    regime_of,
)
from dualad.results.batch_search import Optimum

SIZES = (40, 262, 501, 1800, 5856, 6300, 6301, 11_298, 26_684, 50_000)


def optima(law, sizes, noise=0.0):
    rng = np.random.default_rng(0)
    values = law(sizes) + noise * rng.normal(size=len(sizes))
    return [Optimum(f"d{n}", n, value) for n, value in zip(sizes, values, strict=True)]


def test_the_papers_law_is_the_one_that_is_planned_with():
    sizes = [1, 22, 23, 262, 6300, 6301, 26_684, 84_484, 10**6]
    assert list(paper_law()(sizes)) == pytest.approx([adaptive_batch_size(n) for n in sizes])
    assert [(o.n_images, o.batch_size) for o in paper_optima()] == [(262, 98), (26_684, 364)]
    assert [regime_of(o.n_images) for o in paper_optima()] == ["small", "large"]


@pytest.mark.parametrize(
    ("level", "small", "large"), [(1.0, 23.28, 73_969.74), (0.0, 22.10, 74_057.47)]
)
def test_where_the_papers_law_leaves_the_usable_range(level, small, large):
    below = paper_law().below(level)
    assert below["small"] == [(1.0, pytest.approx(small, abs=0.01))]
    assert below["large"] == [(pytest.approx(large, abs=0.01), LARGEST)]
    assert all(
        (adaptive_batch_size(n) < level) == (n < small or n > large)
        for n in (*range(1, 200), *range(6000, 80_000, 37), 73_969, 73_970, 74_057, 74_058)
    )


@pytest.mark.parametrize(
    ("branch", "below"),
    [
        (Branch(0, 0, 5), []),
        (Branch(0, 0, 0.5), [(1, 1000)]),
        (Branch(1, 0, -9), [(1, 10)]),
        (Branch(0, -10, 24.0258), [(10, 1000)]),
        # Falls to 100 - 100 ln 100 + 361.5 = 1.0 at N = 100 and rises again.
        (Branch(1, -100, 361), [(90.2, 110.5)]),
    ],
)
def test_intervals_of_any_coefficients(branch, below):
    found = branch.below(1.0, 1, 1000)
    assert np.array(found).ravel() == pytest.approx(np.array(below).ravel(), rel=1e-2)


def test_a_law_is_recovered_from_its_own_values():
    law = fit_batch_law(optima(paper_law(), SIZES))
    for regime, branch in paper_law().branches.items():
        refitted = law.branches[regime]
        for key in ("slope", "log_slope", "intercept"):
            assert getattr(refitted, key) == pytest.approx(getattr(branch, key), rel=1e-6)
        assert max(refitted.errors) < 1e-6
    assert law.notes == {"small": "6 datasets", "large": "4 datasets"}


def test_estimates_and_errors_are_those_of_curve_fit():
    points = optima(paper_law(), SIZES[:6], noise=3)
    branch = fit_batch_law(points).branches["small"]
    values, covariance = curve_fit(
        lambda n, a, b, c: a * n + b * np.log(n) + c,
        [p.n_images for p in points],
        [p.batch_size for p in points],
    )
    found = (branch.slope, branch.log_slope, branch.intercept)
    assert found == pytest.approx(values, rel=1e-4)
    assert branch.errors == pytest.approx(np.sqrt(np.diag(covariance)), rel=1e-4)


def test_three_points_are_met_and_leave_no_errors():
    law = fit_batch_law([Optimum("a", 50, 20), Optimum("b", 400, 90), Optimum("c", 5000, 70)])
    assert law([50, 400, 5000]) == pytest.approx([20, 90, 70])
    assert law.branches["small"].errors is None
    assert law.notes["small"] == "3 datasets: no standard errors"
    assert "large" not in law.branches and math.isnan(law([10_000])[0])


def test_too_few_different_sizes_are_not_refitted():
    law = fit_batch_law([Optimum(f"d{i}", 262 + i // 2, 98) for i in range(4)])
    assert law.branches == {}
    assert law.notes == {
        "small": "4 datasets: not refitted, three different sizes are needed",
        "large": "0 datasets: not refitted, three different sizes are needed",
    }
    assert law.below() == {}
