"""Controls without a network: a method that does not beat them has shown nothing."""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import ClassVar, Self

import numpy as np

from dualad.data.statistics import STATISTICS
from dualad.design.parameters import PCAParams, PixelsSupervisedParams
from dualad.files import reading
from dualad.methods.base import (
    ARRAYS_FILE,
    Detector,
    Experiment,
    FitReport,
    FloatArray,
    Floats,
    Indices,
    Scored,
    load_arrays,
    reconstruction_scores,
    save_arrays,
)

_BATCH = 1024


class _Control(Detector):
    """Fits on the first attempt's training images and keeps a few arrays."""

    _arrays: ClassVar[tuple[str, ...]] = ()

    def fit(self, experiment: Experiment) -> FitReport:
        train, validation = experiment.split.attempt(1, experiment.seeds(self.params).numpy)
        self._fit(experiment, train)
        return FitReport(
            family=self.family,
            n_parameters=sum(getattr(self, name).size for name in self._arrays),
            validation=validation.tolist(),
        )

    @abstractmethod
    def _fit(self, experiment: Experiment, train: Indices) -> None:
        """Compute the attributes named in `_arrays`."""

    def save(self, folder: Path) -> None:
        save_arrays(self, self._arrays, folder)

    @classmethod
    def load(cls, folder: Path, params: object) -> Self:
        detector = cls(params)
        load_arrays(detector, cls._arrays, folder)
        return detector


class MeanImage(_Control):
    """L2 distance to the training-mean image.

    Attributes
    ----------
    mean_ : float32 array (S, S)
    """

    family = "mean_image"
    _arrays = ("mean_",)

    def _fit(self, experiment: Experiment, train: Indices) -> None:
        total = sum(
            batch.sum(axis=0, dtype=np.float64)
            for batch in experiment.dataset.batches(train, _BATCH)
        )
        self.mean_: FloatArray = np.asarray(total / len(train), dtype=np.float32)

    def score(self, images: FloatArray) -> Scored:
        reconstruction = np.broadcast_to(self.mean_, images.shape)
        return reconstruction_scores(self.family, images, reconstruction)


class PrincipalComponents(_Control):
    """L2 error of the reconstruction from the leading principal components.

    Attributes
    ----------
    mean_ : float32 array (S * S,)
    components_ : float32 array (k, S * S)
        k is `params.components`, or one less than the number of training images if that is fewer;
        the reconstruction from a single training image is that image.
    """

    family = "pca"
    _arrays = ("mean_", "components_")
    params: PCAParams | PixelsSupervisedParams
    mean_: FloatArray
    components_: FloatArray

    def _fit(self, experiment: Experiment, train: Indices) -> None:
        # Imported here: loading scikit-learn takes two seconds, which most jobs need not spend.
        from sklearn.decomposition import PCA

        images = experiment.dataset.images(train).reshape(len(train), -1)
        # A full-rank fit would reconstruct its training images exactly and say nothing.
        components = min(self.params.components, len(train) - 1)
        if components == 0:
            self.mean_, self.components_ = images[0], images[:0]
            return
        seed = experiment.seeds(self.params).numpy
        pca = PCA(components, svd_solver="randomized", random_state=seed).fit(images)
        self.mean_ = np.asarray(pca.mean_, dtype=np.float32)
        self.components_ = np.asarray(pca.components_, dtype=np.float32)

    def codes(self, images: FloatArray) -> FloatArray:
        """Principal components (n, k) of images (n, S, S)."""
        centred = images.reshape(len(images), -1) - self.mean_
        return np.asarray(centred @ self.components_.T, dtype=np.float32)

    def score(self, images: FloatArray) -> Scored:
        codes = self.codes(images)
        pixels = np.asarray(codes @ self.components_ + self.mean_, dtype=np.float32)
        return reconstruction_scores(self.family, images, pixels.reshape(images.shape))


class _Statistic(_Control):
    """One number per image, higher or lower than in a normal image as validation prefers.

    With anomalous images in the validation set, the direction of higher validation AUROC is taken,
    "higher" on a tie: one bit that comes from labels. Without them, no direction can be known, and
    the score is the distance to the mean of the training images, on either side.

    Attributes
    ----------
    direction_ : float64 array (1,)
        1 if higher values are anomalous, -1 if lower ones are, 0 for the distance to `centre_`.
    centre_ : float64 array (1,)
        Mean of the statistic over the training images.
    """

    _arrays = ("direction_", "centre_")
    statistic: ClassVar[str]
    """Name in `dualad.data.statistics.STATISTICS`."""
    direction_: Floats
    centre_: Floats

    def fit(self, experiment: Experiment) -> FitReport:
        report = super().fit(experiment)
        labels = experiment.dataset.table["label"].to_numpy()[report.validation]
        direction = _direction(self._measured(experiment, report.validation), labels)
        self.direction_ = np.array([direction])
        return replace(report, notes=[_note(self.statistic, direction)])

    def _fit(self, experiment: Experiment, train: Indices) -> None:
        self.centre_ = np.array([self._measured(experiment, train).mean()])
        # Until validation says more.
        self.direction_ = np.zeros(1)

    def _measured(self, experiment: Experiment, index: Sequence[int] | Indices) -> Floats:
        """The statistic of some of the dataset's images."""
        batches = experiment.dataset.batches(index, _BATCH)
        return np.concatenate([STATISTICS[self.statistic](batch) for batch in batches])

    def score(self, images: FloatArray) -> Scored:
        values, direction = STATISTICS[self.statistic](images), self.direction_[0]
        scores = direction * values if direction else np.abs(values - self.centre_[0])
        return Scored({self.family: scores})


def _direction(values: Floats, labels: Indices) -> float:
    """1 if anomalous images have the higher values, -1 for lower ones, 0 without both classes.

    Parameters
    ----------
    values
        (n,) of the validation images.
    labels
        (n,) 0 normal, 1 anomalous.
    """
    # Imported here, as in `PrincipalComponents`.
    from sklearn.metrics import roc_auc_score

    if len(np.unique(labels)) < 2:
        return 0.0
    return 1.0 if roc_auc_score(labels, values) >= 0.5 else -1.0


def _note(statistic: str, direction: float) -> str:
    """What a reader of a table has to know of a direction."""
    if not direction:
        return f"{statistic} far from the training mean = anomalous (no labels to choose a side by)"
    word = "higher" if direction > 0 else "lower"
    return f"{word} {statistic} = anomalous (one bit, chosen on validation labels)"


class PixelStd(_Statistic):
    """Standard deviation of an image's pixels, in the direction that validation prefers."""

    family = "pixel_std"
    statistic = "contrast"

    @classmethod
    def load(cls, folder: Path, params: object) -> Self:
        """Read what `save` wrote; versions up to 0.2 had one direction and wrote no array."""
        with reading(folder / ARRAYS_FILE), np.load(folder / ARRAYS_FILE) as arrays:
            if not arrays.files:
                detector = cls(params)
                detector.direction_, detector.centre_ = np.array([-1.0]), np.zeros(1)
                return detector
        return super().load(folder, params)


class Brightness(_Statistic):
    """Mean of an image's pixels, in the direction that validation prefers."""

    family = "brightness"
    statistic = "brightness"


class Gradient(_Statistic):
    """Mean absolute gradient of an image, in the direction that validation prefers."""

    family = "gradient"
    statistic = "gradient"
