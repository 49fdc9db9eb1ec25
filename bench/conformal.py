"""False positive rates of conformal thresholds: what was wanted, what came out, and what breaks it.

    python bench/conformal.py [RESULTS] [--draws 200]

First, for every experiment of a results tree, the share of test normals above the conformal
threshold that its validation normals give, with its exact interval. The experiments of a dataset
share their test images, so they are no independent evidence. Then, for every dataset with enough
normal images, the mean rate over many random divisions of these images, with the error of a
reconstruction from principal components as the score: once as the guarantee asks, and in ways that
break it. The images are shrunk to 17 x 17 for that.
"""

import argparse
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dualad.data.dataset import Dataset
from dualad.design.parameters import ThresholdParams
from dualad.errors import DualadError
from dualad.evaluation.conformal import conformal_threshold
from dualad.evaluation.intervals import clopper_pearson
from dualad.evaluation.maps import resized_maps
from dualad.results.experiment import read_scores

Floats = NDArray[np.float64]

WANTED = (0.01, 0.05, 0.1)
SIDE, COMPONENTS = 17, 8
FEWEST = 80
"""Normal images that a dataset needs for the divisions: 20 are left for the threshold."""
CANDIDATES = 100
"""Scores to choose from, each the error at some pixels drawn at random."""
PIXELS = 12
COPIES = 20


def rate(reference: Floats, scores: Floats, alpha: float) -> float | None:
    """Share of scores above the threshold; None where the reference is too small for it."""
    try:
        params = ThresholdParams("conformal", alpha=alpha)
        return float(np.mean(scores > conformal_threshold(reference, params)))
    except DualadError:
        return None


def report_experiments(results: Path) -> None:
    """Print the rate on the test normals of every experiment, and means over experiments."""
    print(f"{'experiment':34s} n_val n_test  " + "".join(f"wanted {a:<18g}" for a in WANTED))
    found: dict[float, list[float]] = {alpha: [] for alpha in WANTED}
    for path in sorted(results.glob("*/*/scores.csv")):
        table = read_scores(path.parent)
        normals = table[table["label"] == 0]
        scores = normals["score"].to_numpy(dtype=np.float64)
        is_test = (normals["split"] == "test").to_numpy()
        cells = ""
        for alpha in WANTED:
            reached = rate(scores[~is_test], scores[is_test], alpha)
            cells += f"{'-':25s}" if reached is None else f"{_interval(reached, is_test.sum()):25s}"
            found[alpha] += [] if reached is None else [reached]
        name = f"{path.parent.parent.name}/{path.parent.name}"
        print(f"{name:34s} {np.sum(~is_test):5d} {np.sum(is_test):6d}  {cells}")
    means = "".join(
        f"{f'{np.mean(rates):.3f} (of {len(rates)})' if rates else '-':25s}"
        for rates in found.values()
    )
    print(f"{'mean':48s} {means}\n")


def _interval(share: float, n: int) -> str:
    low, high = clopper_pearson(round(share * n), int(n), 0.95) or (0.0, 1.0)
    return f"{share:.3f} [{low:.3f}, {high:.3f}]"


def pictures(path: Path) -> tuple[Floats, Floats]:
    """Normal and anomalous images of a `dataset.h5`, (n, p) and (m, p), shrunk."""
    with Dataset(path) as dataset:
        table = dataset.table
        kept = ~table["dropped"].to_numpy(dtype=bool)
        small = resized_maps(dataset.images(np.flatnonzero(kept)), (SIDE, SIDE))
        anomalous = table["label"].to_numpy()[kept] == 1
    flat = small.reshape(len(small), -1).astype(np.float64)
    return flat[~anomalous], flat[anomalous]


def fitted(train: Floats) -> Callable[[Floats], Floats]:
    """Squared errors, (n, p), of a reconstruction from the training images' leading components."""
    mean = train.mean(axis=0)
    components = np.linalg.svd(train - mean, full_matrices=False)[2][:COMPONENTS]

    def squared_errors(images: Floats) -> Floats:
        centred = images - mean
        return np.asarray((centred - centred @ components.T @ components) ** 2)

    return squared_errors


def divisions(
    normals: Floats, anomalous: Floats, alpha: float, draws: int
) -> Iterator[Mapping[str, float | None]]:
    """Rates on the test normals of random divisions of a dataset's normal images."""
    rng = np.random.default_rng(0)
    for _ in range(draws):
        train, held, test = np.split(
            rng.permutation(normals), [len(normals) // 2, 3 * len(normals) // 4]
        )
        errors = fitted(train)
        on_held, on_test = errors(held), errors(test)
        scores, fresh = on_held.sum(axis=1), on_test.sum(axis=1)
        few = scores[: max(len(scores) // COPIES, 1)]
        anomalies = errors(rng.permutation(anomalous)[:20])
        yield {
            "as the guarantee asks": rate(scores, fresh, alpha),
            **{
                f"test images brighter by {shift:g} of the range": rate(
                    scores, errors(np.clip(test + shift, 0, 1)).sum(axis=1), alpha
                )
                for shift in (0.01, 0.03, 0.1)
            },
            "threshold from the training images": rate(errors(train).sum(axis=1), fresh, alpha),
            f"best of {CANDIDATES} scores on the same normals": _selected(
                rng, on_held, on_test, anomalies, alpha
            ),
            f"{COPIES} copies of each of {len(few)} normals": rate(
                np.repeat(few, COPIES), fresh, alpha
            ),
        }


def _selected(
    rng: np.random.Generator, held: Floats, test: Floats, anomalies: Floats, alpha: float
) -> float | None:
    """Rate of the score that separates the held normals and the anomalies best."""
    chosen = [rng.choice(held.shape[1], PIXELS, replace=False) for _ in range(CANDIDATES)]

    def separation(pixels: NDArray[np.int64]) -> float:
        normal, anomalous = held[:, pixels].sum(axis=1), anomalies[:, pixels].sum(axis=1)
        return float(np.mean(anomalous[:, None] > normal))

    best = max(chosen, key=separation)
    return rate(held[:, best].sum(axis=1), test[:, best].sum(axis=1), alpha)


def report_divisions(path: Path, draws: int, alpha: float = 0.05) -> None:
    """Print the mean rates of a dataset's divisions with twice their standard error."""
    normals, anomalous = pictures(path)
    if len(normals) < FEWEST:
        print(f"{path.parent.name}: {len(normals)} normal images are too few for divisions\n")
        return
    n = 3 * len(normals) // 4 - len(normals) // 2
    print(
        f"{path.parent.name}: thresholds from {n} normals, wanted {alpha:g}, so "
        f"{int(alpha * (n + 1)) / (n + 1):.3f} is to be expected; {draws} divisions"
    )
    rows = list(divisions(normals, anomalous, alpha, draws))
    for name in rows[0]:
        rates = [found for row in rows if (found := row[name]) is not None]
        if rates:
            error = 2 * np.std(rates) / np.sqrt(len(rates))
            print(f"  {name:48s} {np.mean(rates):.3f} +- {error:.3f}")
    print()


def main() -> None:
    """Print both reports."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("results", type=Path, nargs="?", default=Path("results"))
    parser.add_argument("--draws", type=int, default=200)
    options = parser.parse_args()
    report_experiments(options.results)
    for path in sorted(options.results.glob("*/dataset.h5")):
        report_divisions(path, options.draws)


if __name__ == "__main__":
    main()
