"""How often intervals hold the true value, near the edge too.

    python bench/intervals.py [--sets 400]

Draws test sets from two normal distributions of scores, whose distance and threshold give the
wanted rates, and counts the sets whose 95 % interval holds the true value, and those whose interval
has no width. Rates have exact intervals, all other metrics bootstrap ones, as in `metrics.json`.
"""

import argparse
from math import sqrt

import numpy as np
from scipy.stats import norm

from dualad.evaluation.bootstrap import Resampling
from dualad.evaluation.intervals import image_intervals
from dualad.evaluation.metrics import Judgement, rates

SHOWN = ("tpr", "fpr", "balanced_accuracy", "f1", "mcc", "auroc")
CASES = (
    *((32, 0.8, 0.2), (32, 0.95, 0.05), (32, 0.98, 0.02), (32, 0.995, 0.005)),
    *((100, 0.95, 0.05), (100, 0.98, 0.02), (100, 0.995, 0.005)),
)
"""Images per class, true positive rate, false positive rate."""


def truth(tpr: float, fpr: float) -> dict[str, float]:
    """The true values of the metrics at even classes."""
    shares = (np.array([share]) for share in (tpr, fpr, 1 - fpr, 1 - tpr))
    values = {metric: float(value[0]) for metric, value in rates(*shares).items()}
    return values | {"auroc": float(norm.cdf((norm.ppf(tpr) - norm.ppf(fpr)) / sqrt(2)))}


def report(n: int, tpr: float, fpr: float, sets: int) -> None:
    """Print a row: per metric the share of sets that are covered, and that have no width."""
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1], n)
    shift, threshold = norm.ppf(tpr) - norm.ppf(fpr), -norm.ppf(fpr)
    expected = truth(tpr, fpr)
    covered, flat = dict.fromkeys(SHOWN, 0), dict.fromkeys(SHOWN, 0)
    for number in range(sets):
        scores = rng.normal(size=2 * n) + shift * labels
        judgement = Judgement(labels, scores, (scores > threshold).astype(np.int64), None)
        found = image_intervals(judgement, 1, Resampling(400, 0.95, number))
        for metric in SHOWN:
            low, high = found[metric] or (0.0, 1.0)
            covered[metric] += low <= expected[metric] <= high
            flat[metric] += low == high
    cells = "  ".join(f"{covered[m] / sets:.2f} ({flat[m] / sets:.2f})" for m in SHOWN)
    print(f"{n:4d} {tpr:6g} {fpr:6g}   {cells}")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sets", type=int, default=400)
    options = parser.parse_args()
    print(f"{'n':>4s} {'TPR':>6s} {'FPR':>6s}   " + "  ".join(f"{m[:11]:11s}" for m in SHOWN))
    for case in CASES:
        report(*case, options.sets)


if __name__ == "__main__":
    main()
