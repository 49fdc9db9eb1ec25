"""The piecewise batch-size law of eq. 25: the paper's, one refitted to our searches, its limits."""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import lstsq
from scipy.optimize import brentq

from dualad.data.plan import REGIME_BOUNDARY
from dualad.paper.numbers import paper_number, paper_numbers
from dualad.results.batch_search import Optimum

Regime = Literal["small", "large"]
REGIMES: tuple[Regime, ...] = ("small", "large")
"""N <= 6300 and N > 6300."""
COEFFICIENTS = ("slope", "log_slope", "intercept")
LARGEST = 10**9
"""Where the search for roots ends, in images; no dataset is that large."""

PAPER_ROWS: Mapping[Regime, str] = {"small": "N <= 6300", "large": "N > 6300"}
"""What the paper writes before each line."""
_EXAMPLES = ("Example 1", "Example 2")


@dataclass(frozen=True)
class Branch:
    """One line of eq. 25: slope N + log_slope ln N + intercept, in images."""

    slope: float
    log_slope: float
    intercept: float
    errors: tuple[float, float, float] | None = None
    """Standard errors of the three; None for the paper's, and where three points leave none."""

    def __call__(self, n_images: ArrayLike) -> NDArray[np.float64]:
        """Batch size at each N, neither floored nor clamped."""
        n = np.asarray(n_images, dtype=np.float64)
        return self.slope * n + self.log_slope * np.log(n) + self.intercept

    def below(self, level: float, low: float, high: float) -> list[tuple[float, float]]:
        """Find the parts of an interval on which the branch lies below a level.

        Parameters
        ----------
        level
            Batch size.
        low, high
            Ends of the interval, in images; 0 < low < high.

        Returns
        -------
        list
            Disjoint intervals (from, to) in ascending order.
        """
        edges = [low, *self._crossings(level, low, high), high]
        return [
            (start, stop)
            for start, stop in itertools.pairwise(edges)
            if self(math.sqrt(start * stop)) < level
        ]

    def _crossings(self, level: float, low: float, high: float) -> list[float]:
        """Where the branch meets the level; it is monotonic on both sides of -log_slope / slope."""
        turn = -self.log_slope / self.slope if self.slope else low
        pieces = [low, *([turn] if low < turn < high else []), high]

        def excess(n: float) -> float:
            return float(self(n)) - level

        return [
            float(brentq(excess, start, stop))
            for start, stop in itertools.pairwise(pieces)
            if excess(start) * excess(stop) < 0
        ]


@dataclass(frozen=True)
class BatchLaw:
    """Both lines of eq. 25; a refitted law may lack one or both."""

    branches: Mapping[Regime, Branch]
    notes: Mapping[Regime, str]
    """Per regime, how many datasets there were, and why no line was fitted if none was."""

    def __call__(self, n_images: ArrayLike) -> NDArray[np.float64]:
        """Batch size at each N; not a number where the law has no line."""
        n = np.asarray(n_images, dtype=np.float64)
        values = np.full(n.shape, np.nan)
        for regime, branch in self.branches.items():
            inside = (n <= REGIME_BOUNDARY) == (regime == "small")
            values[inside] = branch(n[inside])
        return values

    def below(self, level: float = 1.0) -> dict[Regime, list[tuple[float, float]]]:
        """Find the numbers of images at which the law asks for less than `level` images a batch.

        Parameters
        ----------
        level
            Batch size; 1 is the smallest usable one, 0 is where the law turns negative.

        Returns
        -------
        dict
            Per regime the intervals of N, within [1, 6300] and [6300, `LARGEST`]. For the paper's
            law they are [1, 23.3] and [73,970, ...] at level 1, [1, 22.1] and [74,057, ...] at 0.
        """
        limits: dict[Regime, tuple[float, float]] = {
            "small": (1.0, REGIME_BOUNDARY),
            "large": (REGIME_BOUNDARY, LARGEST),
        }
        return {
            regime: branch.below(level, *limits[regime]) for regime, branch in self.branches.items()
        }


def paper_law() -> BatchLaw:
    """Eq. 25 as printed, with the natural logarithm."""
    branches: dict[Regime, Branch] = {}
    for regime, row in PAPER_ROWS.items():
        slope, log_slope, intercept = (paper_number("Eq. 25", key, row=row) for key in COEFFICIENTS)
        branches[regime] = Branch(slope, log_slope, intercept)
    return BatchLaw(branches, dict.fromkeys(REGIMES, "eq. 25"))


def paper_optima() -> list[Optimum]:
    """The paper's two worked examples, 262 images and 26,684 images."""
    return [
        Optimum(
            paper_numbers(example)[0].dataset,
            int(paper_number(example, "n_images")),
            int(paper_number(example, "batch_size")),
        )
        for example in _EXAMPLES
    ]


def regime_of(n_images: int) -> Regime:
    """The line of eq. 25 that applies to a dataset of so many images."""
    return "small" if n_images <= REGIME_BOUNDARY else "large"


def fit_batch_law(optima: Sequence[Optimum]) -> BatchLaw:
    """Fit both lines of eq. 25 by least squares, each to the datasets of its regime.

    A line has three coefficients, so a regime with fewer than three different sizes gets none;
    exactly three points are met exactly, and only more give standard errors.
    """
    branches: dict[Regime, Branch] = {}
    notes: dict[Regime, str] = {}
    for regime in REGIMES:
        members = [optimum for optimum in optima if regime_of(optimum.n_images) == regime]
        branch = _fit(members)
        count = f"{len(members)} dataset{'' if len(members) == 1 else 's'}"
        if branch is None:
            notes[regime] = f"{count}: not refitted, three different sizes are needed"
        else:
            branches[regime] = branch
            notes[regime] = f"{count}{'' if branch.errors else ': no standard errors'}"
    return BatchLaw(branches, notes)


def _fit(optima: Sequence[Optimum]) -> Branch | None:
    n = np.array([optimum.n_images for optimum in optima], dtype=np.float64)
    sizes = np.array([optimum.batch_size for optimum in optima], dtype=np.float64)
    if len(np.unique(n)) < len(COEFFICIENTS):
        return None
    design = np.column_stack([n, np.log(n), np.ones_like(n)])
    # N is thousands of times its logarithm: columns of length 1 keep the digits.
    scale = np.linalg.norm(design, axis=0)
    solution, _, rank, _ = lstsq(design / scale, sizes)
    if rank < len(COEFFICIENTS):
        return None
    coefficients = solution / scale
    freedom = len(n) - len(COEFFICIENTS)
    errors = None
    if freedom > 0:
        residual = sizes - design @ coefficients
        inverse = np.linalg.inv((design / scale).T @ (design / scale))
        deviations = np.sqrt(residual @ residual / freedom * np.diag(inverse)) / scale
        errors = (float(deviations[0]), float(deviations[1]), float(deviations[2]))
    slope, log_slope, intercept = map(float, coefficients)
    return Branch(slope, log_slope, intercept, errors)
