"""Whether the normals of different sets look alike: two-sample tests.

A threshold that was chosen on validation normals holds for test normals of the same kind only, and
a test set whose normals look unlike the training normals rewards whatever notices that. Neither
needs an anomaly to be seen, so no label but "normal" is read here.
"""

import logging
from collections.abc import Mapping
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dualad.data.dataset import Dataset
from dualad.data.split import Split
from dualad.data.statistics import STATISTICS
from dualad.files import write_json

logger = logging.getLogger(__name__)

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]

ALPHA = 0.05
"""Level of the tests of a dataset, all together: the share of fair splits that are warned of."""
SCORE_ALPHA = 0.01
"""Level of the test of a method's scores. There is one for every method, so it is lower."""
SMALLEST_DISTANCE = 0.2
"""Smaller differences are not warned of, however certain. Between two normal distributions of one
width this is half a standard deviation, or an AUROC of 0.64."""

MEAN_IMAGE = "mean_image"
"""Name of the distance to the mean image, among those of the statistics."""
_WORDS = {
    "brightness": ("darker", "brighter"),
    "contrast": ("of lower contrast", "of higher contrast"),
    "gradient": ("smoother", "sharper"),
    MEAN_IMAGE: ("nearer to the mean image", "further from the mean image"),
    "score": ("lower in score", "higher in score"),
}
_NAMES = {"train": "training", "validation": "validation", "test": "test"}
_SPREAD = 0.1
"""An AUROC this close to 0.5 says that no set lies higher: they spread differently."""
_BATCH = 1024


def measure_shift(dataset_h5: Path, split_json: Path, shift_json: Path) -> dict[str, Any]:
    """Compare the normals of a split's sets by simple statistics of their images.

    The statistics are those of `dualad.data.statistics` and the distance to the mean of the
    training normals (L2; of a training image, to the mean of the others). Training and validation
    sets are those of the first attempt with the split's own seed. Images of one group (a clip, a
    patient) are no independent observations, so each group counts once, by its mean.

    Every statistic is compared between every two sets by a Kolmogorov-Smirnov test, and Holm's
    method corrects for their number. A difference counts if its corrected p-value is below `ALPHA`
    and its distance at least `SMALLEST_DISTANCE`.

    Parameters
    ----------
    dataset_h5, split_json
        The cached images and their split.
    shift_json
        Where the result goes.

    Returns
    -------
    dict
        What was written: `protocol`, `alpha`, `smallest_distance`, `n_images` and `n_units` per
        set (groups count as one unit), `tests`, and `warning`, empty if nothing differs.

    Raises
    ------
    DualadError
        If an input is missing or damaged.
    """
    split = Split.read(split_json)
    train, validation = split.attempt(1, split.seed)
    with Dataset(dataset_h5) as dataset:
        name, labels = dataset.name, dataset.table["label"].to_numpy()
        groups = dataset.table["group"].to_numpy(dtype=str)
        drawn = {"train": train, "validation": validation, "test": np.array(split.test)}
        sets = {key: index[labels[index] == 0] for key, index in drawn.items()}
        mean = _mean_image(dataset, train)
        measured = {key: _measured(dataset, index, mean) for key, index in sets.items()}
    # Leaves a training image out of the mean that it is compared with.
    measured["train"][MEAN_IMAGE] *= len(train) / max(len(train) - 1, 1)
    units = {
        key: {statistic: _units(v, groups[sets[key]]) for statistic, v in values.items()}
        for key, values in measured.items()
    }
    tests = compare_sets(units)
    found: dict[str, Any] = {
        "protocol": split.protocol,
        "alpha": ALPHA,
        "smallest_distance": SMALLEST_DISTANCE,
        "n_images": {key: len(index) for key, index in sets.items()},
        "n_units": {key: len(values[MEAN_IMAGE]) for key, values in units.items()},
        "tests": tests,
        "warning": _warning(tests),
    }
    if found["warning"]:
        logger.warning("%s: %s", name, found["warning"])
    write_json(shift_json, found)
    return found


def compare_sets(sets: Mapping[str, Mapping[str, Floats]]) -> list[dict[str, Any]]:
    """Test every statistic between every two sets.

    Parameters
    ----------
    sets
        By name of a set and of a statistic, its values.

    Returns
    -------
    list
        A mapping per pair and statistic: `statistic`, `between` (two names of sets), what
        `compare` returns, `p_holm`, and whether it `differs`. Empty sets are passed over.
    """
    tests = [
        {"statistic": statistic, "between": [first, second], **compare(values, other)}
        for first, second in combinations(sets, 2)
        for statistic, values in sets[first].items()
        if len(values) and len(other := sets[second][statistic])
    ]
    corrected = holm(np.array([test["p_value"] for test in tests]))
    return [
        {
            **test,
            "p_holm": p,
            "differs": bool(p < ALPHA and test["distance"] >= SMALLEST_DISTANCE),
        }
        for test, p in zip(tests, corrected.tolist(), strict=True)
    ]


def compare(first: Floats, second: Floats) -> dict[str, Any]:
    """Two samples by the Kolmogorov-Smirnov test, and by how far they are apart.

    Parameters
    ----------
    first, second
        Values of two sets, at least one each.

    Returns
    -------
    dict
        `medians` of both; `distance`, the largest difference between the shares of the two sets
        above any threshold, in [0, 1]; `auroc`, the probability that a value of the second is
        above one of the first, ties counting half; `p_value`, two-sided.
    """
    # Imported here: it takes half a second, which jobs that compare nothing need not spend.
    from scipy import stats

    found = stats.ks_2samp(first, second)
    above = stats.mannwhitneyu(second, first).statistic / (len(first) * len(second))
    return {
        "medians": [float(np.median(first)), float(np.median(second))],
        "distance": float(found.statistic),
        "auroc": float(above),
        "p_value": float(found.pvalue),
    }


def holm(p_values: Floats) -> Floats:
    """P-values corrected by Holm's step-down method (Scandinavian Journal of Statistics 6, 1979).

    Rejecting those below a level keeps the probability of any false rejection below that level,
    however the tests depend on each other.

    Parameters
    ----------
    p_values
        (n,) in [0, 1].

    Returns
    -------
    array
        (n,) in the same order.
    """
    order = np.argsort(p_values, kind="stable")
    steps = (len(p_values) - np.arange(len(p_values))) * p_values[order]
    corrected = np.empty(len(p_values))
    corrected[order] = np.minimum(np.maximum.accumulate(steps), 1)
    return corrected


def score_shift(
    scores: Floats, labels: Indices, is_test: NDArray[np.bool_], groups: NDArray[np.str_]
) -> tuple[dict[str, Any], list[str]]:
    """Compare a method's scores of validation normals with those of test normals.

    Parameters
    ----------
    scores, labels, is_test, groups
        (n,) of the validation and test images: score, 0 normal or 1 anomalous, whether it is of
        the test set, name of a group or "". Groups count once each, as in `measure_shift`.

    Returns
    -------
    shift : dict
        What `compare` returns for validation and test, and `differs`, by `SCORE_ALPHA` and
        `SMALLEST_DISTANCE`.
    notes : list
        What a reader of a table has to know of it; empty if the scores do not differ.
    """
    validation, test = (
        _units(scores[chosen], groups[chosen])
        for chosen in ((labels == 0) & ~is_test, (labels == 0) & is_test)
    )
    found = compare(validation, test)
    differs = found["p_value"] < SCORE_ALPHA and found["distance"] >= SMALLEST_DISTANCE
    if not differs:
        return {**found, "differs": False}, []
    how = "differently from" if _is_spread(found) else _side(found, ("lower", "higher")) + " than"
    note = f"threshold may not transfer: test normals score {how} validation normals"
    return {**found, "differs": True}, [note]


def _mean_image(dataset: Dataset, index: Indices) -> Floats:
    total = sum(batch.sum(axis=0, dtype=np.float64) for batch in dataset.batches(index, _BATCH))
    return np.asarray(total / len(index))


def _measured(dataset: Dataset, index: Indices, mean: Floats) -> dict[str, Floats]:
    """(n,) of every statistic of some images."""
    parts: dict[str, list[Floats]] = {name: [] for name in (*STATISTICS, MEAN_IMAGE)}
    for batch in dataset.batches(index, _BATCH):
        for name, statistic in STATISTICS.items():
            parts[name].append(statistic(batch))
        parts[MEAN_IMAGE].append(np.sqrt(np.square(batch - mean).sum(axis=(1, 2))))
    return {name: np.concatenate([np.empty(0), *values]) for name, values in parts.items()}


def _units(values: Floats, groups: NDArray[np.str_]) -> Floats:
    """The mean of each group, and the values of images without one."""
    alone = groups == ""
    _, member = np.unique(groups[~alone], return_inverse=True)
    means = np.bincount(member, values[~alone]) / np.bincount(member)
    return np.concatenate([values[alone], means])


def _warning(tests: list[dict[str, Any]]) -> str:
    """What differs most between every two sets, in words; empty if nothing differs.

    Where a set differs from both others in the same way, one sentence says so.
    """
    differing = [test for test in tests if test["differs"]]
    sentences: dict[str, list[str]] = {}
    for between in dict.fromkeys(tuple(test["between"]) for test in differing):
        pair = [test for test in differing if tuple(test["between"]) == between]
        worst = max(pair, key=lambda test: test["distance"])
        apart = max(worst["auroc"], 1 - worst["auroc"])
        first = f"{_NAMES[between[0]]} ones (AUROC {apart:.2f})"
        sentences.setdefault(_difference(worst), []).append(first)
    listed = [f"{words} {' and '.join(others)}" for words, others in sentences.items()]
    return f"shifted split: {', '.join(listed)}" if listed else ""


def _difference(test: Mapping[str, Any]) -> str:
    """Which set differs and how, up to the name of the other set."""
    return f"{_NAMES[test['between'][1]]} normals {difference(test)} than"


def difference(test: Mapping[str, Any]) -> str:
    """In which way the second set of a test differs from the first, such as `brighter`.

    Parameters
    ----------
    test
        What `compare` returns, with the name of the `statistic`.
    """
    if _is_spread(test):
        return f"of another spread in {test['statistic'].replace('_', ' ')}"
    return _side(test, _WORDS[test["statistic"]])


def _is_spread(test: Mapping[str, Any]) -> bool:
    return bool(abs(test["auroc"] - 0.5) < _SPREAD)


def _side(test: Mapping[str, Any], words: tuple[str, str]) -> str:
    return words[test["auroc"] > 0.5]
