"""Whether new images look unlike the validation normals as a whole.

A camera that was moved, or a lamp that was changed, is not an anomaly of every part. Here scores
and simple statistics of many images are compared at once, by the tests of
`dualad.evaluation.shift`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from dualad.arrays import read_arrays, write_arrays
from dualad.data.statistics import STATISTICS
from dualad.evaluation.shift import MEAN_IMAGE, compare, difference, holm

FloatArray = NDArray[np.float32]
Floats = NDArray[np.float64]

ALPHA = 0.01
"""Level of all tests of a run together: the share of runs on normal images that are warned of."""
SMALLEST_DISTANCE = 0.5
"""Differences up to this are not warned of. If new images are like the validation normals but for a
share of anomalies, their distributions differ by at most that share: above one half, anomalies
would have to be the majority."""
LEAST_NORMALS = 10
"""With fewer validation normals nothing is compared: they may all be odd in some way themselves."""

_LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)
"""Grey of red, green and blue (ITU-R BT.601)."""


@dataclass(frozen=True)
class NormalImages:
    """Simple statistics of validation normals, with which those of new images are compared."""

    mean: FloatArray
    """(S, S) their mean image, in grey."""
    values: Mapping[str, Floats]
    """(n,) per name: those of `dualad.data.statistics`, and the L2 distance of an image to the mean
    of the others."""

    @classmethod
    def measure(cls, images: FloatArray) -> Self:
        """Measure validation normals, float32 (n, S, S) or (n, S, S, 3) in [0, 1], n at least 1."""
        mean = _grey(images).mean(axis=0, dtype=np.float64).astype(np.float32)
        values = cls(mean, {}).statistics(images)
        # Leaves the image out of the mean that it is compared with.
        values[MEAN_IMAGE] *= len(images) / max(len(images) - 1, 1)
        return cls(mean, values)

    def statistics(self, images: FloatArray) -> dict[str, Floats]:
        """Statistics (n,) by name of images (n, S, S) or (n, S, S, 3)."""
        grey = _grey(images)
        distances = np.sqrt(np.square(grey - self.mean).sum(axis=(1, 2), dtype=np.float64))
        return {
            **{name: statistic(grey) for name, statistic in STATISTICS.items()},
            MEAN_IMAGE: distances,
        }

    def save(self, path: Path) -> None:
        """Write to an .npz file."""
        write_arrays(path, {"mean": self.mean, **self.values})

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what `save` wrote.

        Raises
        ------
        DualadError
            If the file is missing or damaged.
        """
        values = read_arrays(path, ["mean", *STATISTICS, MEAN_IMAGE])
        return cls(values.pop("mean"), values)


def measure_drift(normals: Mapping[str, Floats], new: Mapping[str, Floats]) -> dict[str, Any]:
    """Compare new images with validation normals.

    Parameters
    ----------
    normals, new
        By name of a statistic, `score` among them, the values of validation normals (n,) and of the
        new images (m,), m at least 1. A statistic that one of them lacks is passed over, and so is
        one of fewer than `LEAST_NORMALS` normals.

    Returns
    -------
    dict
        `alpha`, `smallest_distance`; `n_images`, n and m of the first statistic; `tests`: per
        statistic what `compare` returns, its p-value corrected by Holm's method (`p_holm`), and
        whether it `differs`; and `warning`, what differs in words, empty if nothing does.
    """
    shared = [
        name for name, known in normals.items() if name in new and len(known) >= LEAST_NORMALS
    ]
    tests = [{"statistic": name, **compare(normals[name], new[name])} for name in shared]
    corrected = holm(np.array([test["p_value"] for test in tests]))
    tests = [
        {
            **test,
            "p_holm": p,
            "differs": p < ALPHA and test["distance"] > SMALLEST_DISTANCE and not _harmless(test),
        }
        for test, p in zip(tests, corrected.tolist(), strict=True)
    ]
    differing = sorted(
        (test for test in tests if test["differs"]), key=lambda test: -float(test["distance"])
    )
    words = [f"{difference(test)} (AUROC {_apart(test):.2f})" for test in differing]
    return {
        "alpha": ALPHA,
        "smallest_distance": SMALLEST_DISTANCE,
        "n_images": {
            "validation": len(normals[shared[0]]) if shared else 0,
            "new": len(new[shared[0]]) if shared else 0,
        },
        "tests": tests,
        "warning": f"the new images as a whole are {', '.join(words)} than normal validation images"
        if words
        else "",
    }


def grouped(parts: Iterable[Mapping[str, Floats]]) -> dict[str, Floats]:
    """Statistics of all images from those of their batches, of which there is at least one."""
    batches = list(parts)
    return {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}


def _harmless(test: Mapping[str, Any]) -> bool:
    """Whether it says that new images score lower, as those that were trained on do."""
    return bool(test["statistic"] == "score" and test["auroc"] < 0.5)


def _apart(test: Mapping[str, Any]) -> float:
    return max(float(test["auroc"]), 1 - float(test["auroc"]))


def _grey(images: FloatArray) -> FloatArray:
    return np.asarray(images @ _LUMA if images.ndim == 4 else images, dtype=np.float32)
