"""A logistic regression on labelled validation images, cross-fitted.

What is fitted on images cannot say how it does on others, and a threshold that is placed on such
scores is too good to be true. So the images are divided into folds, and each fold is scored by a
regression that was fitted on the other folds. Threshold and calibrator see these scores only.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from dualad.arrays import read_arrays, write_arrays
from dualad.design.parameters import SupervisedParams
from dualad.errors import DualadError
from dualad.methods.base import Experiment, Floats, Indices

LEAST_IMAGES = 10
"""Labelled images of a class below which nothing is fitted: with 5, labels did harm on two of three
datasets."""
ENOUGH_IMAGES = 20
"""Labelled images of a class from which on labels helped wherever it was tried."""
_ITERATIONS = 1000
_FILE = "regression.npz"


@dataclass(frozen=True)
class LabelledImages:
    """Validation images with their labels."""

    index: Indices
    """(n,) dataset indices."""
    labels: npt.NDArray[np.int64]
    """(n,) 0 normal, 1 anomalous."""
    groups: npt.NDArray[np.int64]
    """(n,) number of the group (clip, patient) of each; an image without one has its own."""
    where: str
    """The dataset's name, for messages."""

    @classmethod
    def of_validation(cls, experiment: Experiment, validation: Indices) -> Self:
        """Labels and groups of validation images, all of which are outside the test set.

        Raises
        ------
        DualadError
            If a class has fewer than `LEAST_IMAGES` images.
        """
        dataset, split = experiment.dataset, experiment.split
        labels = dataset.table["label"].to_numpy(dtype=np.int64)[validation]
        n_normal, n_anomalous = int(np.sum(labels == 0)), int(np.sum(labels == 1))
        if min(n_normal, n_anomalous) < LEAST_IMAGES:
            raise DualadError(
                f"{dataset.name}: a semi-supervised method needs at least {LEAST_IMAGES} normal "
                f"and {LEAST_IMAGES} anomalous validation images to learn from, and the split "
                f"leaves {n_normal} and {n_anomalous}; add labelled images, lower "
                f"datasets.{dataset.name}.test_fraction, or leave the method out for this dataset "
                "with its key `datasets`"
            )
        # Negative numbers for groups, so that none is an image's own index.
        group_of = {
            member: -1 - number
            for number, members in enumerate(split.groups.values())
            for member in members
        }
        groups = [group_of.get(int(index), int(index)) for index in validation]
        return cls(validation, labels, np.array(groups, dtype=np.int64), dataset.name)

    def only(self, rows: Indices) -> Self:
        """Some of the images."""
        return type(self)(self.index[rows], self.labels[rows], self.groups[rows], self.where)

    def folds(self, most: int, seed: int) -> Iterator[tuple[Indices, Indices]]:
        """Rows to fit on and rows to hold out, with both classes among the former.

        Every row is held out once. The folds are stratified by label, and groups stay whole. There
        are `most` of them, or as many as the class in the fewest groups has groups.

        Raises
        ------
        DualadError
            If the groups do not allow it.
        """
        # Imported here: loading scikit-learn takes two seconds, which most jobs need not spend.
        from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

        n_units = min(len(np.unique(self.groups[self.labels == label])) for label in (0, 1))
        if n_units < 2:
            raise self._too_few_groups()
        grouped = len(np.unique(self.groups)) < len(self.groups)
        kind = StratifiedGroupKFold if grouped else StratifiedKFold
        folds = kind(min(most, n_units), shuffle=True, random_state=seed)
        groups = self.groups if grouped else None
        for fitted, held_out in folds.split(self.labels, self.labels, groups):
            if len(np.unique(self.labels[fitted])) < 2:
                raise self._too_few_groups()
            yield fitted, held_out

    def _too_few_groups(self) -> DualadError:
        return DualadError(
            f"{self.where}: the labelled validation images are in too few groups (clips, patients, "
            "or copies of one image) to learn from some and be judged by others; add labelled "
            "images of other groups, or leave the semi-supervised methods out for this dataset "
            "with their key `datasets`"
        )


@dataclass(frozen=True)
class _Affine:
    """A score that is affine in d features."""

    weights: Floats
    """(d,)."""
    bias: float

    @classmethod
    def fit(
        cls, features: Floats, labels: npt.NDArray[np.int64], widths: Floats, penalty: float
    ) -> Self:
        """Logistic regression with L2 penalty on features (n, d) of unit variance per block.

        A feature is standardised and divided by the root of its block's width, one of `widths`
        (d,). It minimises the sum of the logistic losses plus penalty / 2 times the squared norm of
        the weights of these; the bias is free.
        """
        from sklearn.linear_model import LogisticRegression

        mean, deviation = features.mean(axis=0), features.std(axis=0)
        scale = np.where(deviation > 0, deviation, 1.0) * np.sqrt(widths)
        regression = LogisticRegression(C=1 / penalty, max_iter=_ITERATIONS)
        regression.fit((features - mean) / scale, labels)
        weights = regression.coef_[0] / scale
        return cls(weights, float(regression.intercept_[0] - np.sum(mean * weights)))

    def __call__(self, features: Floats) -> Floats:
        """Log-odds (n,) of being anomalous."""
        # No matrix product: its last digits depend on how many rows there are.
        log_odds: Floats = np.sum(features * self.weights, axis=1) + self.bias
        return log_odds


@dataclass(frozen=True)
class CrossFittedRegression:
    """Logistic regression with L2 penalty, and out-of-fold log-odds of the images it was fitted on.

    Each fold has a regression that is fitted on the other folds, with a penalty that
    cross-validation within these chooses. The final score is the mean of their log-odds: the models
    that give validation images their scores are those that score new images, so both are on one
    scale, whichever penalties the folds choose. A regression that is fitted once more, on all
    validation images, is on a scale of its own (compare CV+ in Barber et al., Annals of Statistics
    49, 2021).
    """

    weights: Floats
    """(d,) mean weights of the folds' regressions."""
    bias: float
    """Mean of their biases."""
    index: Indices
    """(n,) dataset indices of the validation images."""
    log_odds: Floats
    """(n,) out-of-fold log-odds of the validation images."""
    penalties: Floats
    """(k,) penalty that each fold chose."""
    counts: npt.NDArray[np.int64]
    """Numbers of normal and of anomalous validation images."""

    @classmethod
    def fit(
        cls, blocks: Sequence[Floats], images: LabelledImages, params: SupervisedParams, seed: int
    ) -> Self:
        """Fit a regression for every fold.

        Parameters
        ----------
        blocks : sequence of float64 arrays (n, d_b)
            Features in blocks, d of them in all. Each block has unit variance in the penalty,
            however wide it is: else a few good features drown among many.
        images : LabelledImages
            The same n images.
        params : SupervisedParams
        seed : int
            Seed of the folds.

        Raises
        ------
        DualadError
            If the groups of the images do not allow folds.
        """
        features = np.concatenate(blocks, axis=1)
        widths = np.repeat([float(b.shape[1]) for b in blocks], [b.shape[1] for b in blocks])
        log_odds = np.empty(len(features))
        regressions, penalties = [], []
        # Small products are no faster on several cores, and their last digits would differ.
        with threadpool_limits(1):
            for fitted, held_out in images.folds(params.folds, seed):
                inside = images.only(fitted)
                penalty = _chosen_penalty(features[fitted], widths, inside, params, seed)
                regression = _Affine.fit(features[fitted], inside.labels, widths, penalty)
                log_odds[held_out] = regression(features[held_out])
                regressions.append(regression)
                penalties.append(penalty)
        return cls(
            weights=np.mean([regression.weights for regression in regressions], axis=0),
            bias=float(np.mean([regression.bias for regression in regressions])),
            index=images.index,
            log_odds=log_odds,
            penalties=np.array(penalties),
            counts=np.bincount(images.labels, minlength=2),
        )

    @property
    def size(self) -> int:
        """Number of fitted numbers."""
        return self.weights.size + 1

    @property
    def held_out(self) -> Mapping[int, float]:
        """Out-of-fold log-odds of every validation image, by its dataset index."""
        return dict(zip(self.index.tolist(), self.log_odds.tolist(), strict=True))

    @property
    def notes(self) -> list[str]:
        """A warning where a class has few images."""
        fewest = int(np.min(self.counts))
        if fewest >= ENOUGH_IMAGES:
            return []
        which = ("normal", "anomalous")[int(np.argmin(self.counts))]
        return [
            f"learnt from {fewest} {which} images only; below {ENOUGH_IMAGES}, labels may do harm"
        ]

    def score(self, blocks: Sequence[Floats]) -> Floats:
        """Log-odds (n,) of being anomalous of other images, given their blocks of features."""
        return _Affine(self.weights, self.bias)(np.concatenate(blocks, axis=1))

    def save(self, folder: Path) -> None:
        """Write to `regression.npz` in a folder."""
        write_arrays(folder / _FILE, vars(self))

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote.

        Raises
        ------
        DualadError
            If the file is missing or damaged.
        """
        values = read_arrays(folder / _FILE, list(cls.__dataclass_fields__))
        return cls(bias=float(values.pop("bias")), **values)


def _chosen_penalty(
    features: Floats, widths: Floats, images: LabelledImages, params: SupervisedParams, seed: int
) -> float:
    """The penalty with the lowest cross-validated logistic loss, the strongest on a tie."""
    signs = 2 * images.labels - 1
    losses = dict.fromkeys(sorted(params.penalties, reverse=True), 0.0)
    for fitted, held_out in images.folds(params.folds, seed):
        for penalty in losses:
            regression = _Affine.fit(features[fitted], images.labels[fitted], widths, penalty)
            margins = signs[held_out] * regression(features[held_out])
            losses[penalty] += float(np.sum(np.logaddexp(0, -margins)))
    return min(losses, key=lambda penalty: losses[penalty])
