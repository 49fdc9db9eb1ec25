"""Controls without a network: a method that does not beat them has shown nothing."""

from abc import abstractmethod
from pathlib import Path
from typing import ClassVar, Self

import numpy as np

from dualad.design.parameters import PCAParams, PixelsSupervisedParams
from dualad.methods.base import (
    Detector,
    Experiment,
    FitReport,
    FloatArray,
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


class PixelStd(_Control):
    """Negative standard deviation of an image's pixels: flat images count as anomalous."""

    family = "pixel_std"

    def _fit(self, experiment: Experiment, train: Indices) -> None:
        """Nothing to learn."""

    def score(self, images: FloatArray) -> Scored:
        return Scored({self.family: -images.std(axis=(1, 2), dtype=np.float64)})
