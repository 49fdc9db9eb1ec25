"""The control of semi-supervised methods: the same labels and the same regression, no network."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Self

import numpy as np

from dualad.design.parameters import PixelsSupervisedParams
from dualad.methods.base import Experiment, FitReport, FloatArray, Floats, Scored
from dualad.methods.controls import PrincipalComponents
from dualad.methods.regression import CrossFittedRegression, LabelledImages


class PixelsSupervised(PrincipalComponents):
    """Logistic regression on the leading principal components of the pixels.

    The components are those of the training images, the images that a network would learn from, so
    they are the same for all validation and test images. There is no anomaly map: the weight of a
    component says nothing about a place.

    Attributes
    ----------
    regression_ : CrossFittedRegression
    """

    family = "pixels_supervised"
    least_training_images = 2
    params: PixelsSupervisedParams
    regression_: CrossFittedRegression

    @property
    def held_out(self) -> Mapping[int, float]:
        return self.regression_.held_out

    def fit(self, experiment: Experiment) -> FitReport:
        report = super().fit(experiment)
        validation = np.array(report.validation, dtype=np.int64)
        images = LabelledImages.of_validation(experiment, validation)
        features = self._features(experiment.dataset.images(validation))
        seed = experiment.seeds(self.params).numpy
        self.regression_ = CrossFittedRegression.fit([features], images, self.params, seed)
        return replace(
            report,
            n_parameters=report.n_parameters + self.regression_.size,
            notes=self.regression_.notes,
        )

    def score(self, images: FloatArray) -> Scored:
        return Scored({self.family: self.regression_.score([self._features(images)])})

    def save(self, folder: Path) -> None:
        super().save(folder)
        self.regression_.save(folder)

    @classmethod
    def load(cls, folder: Path, params: object) -> Self:
        detector = super().load(folder, params)
        detector.regression_ = CrossFittedRegression.load(folder)
        return detector

    def _features(self, images: FloatArray) -> Floats:
        """Principal components (n, k) of images (n, S, S)."""
        return self.codes(images).astype(np.float64)
