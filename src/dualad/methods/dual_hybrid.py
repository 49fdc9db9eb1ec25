"""Reconstruction and classification: a regression on what a trained dual autoencoder finds.

The paper's outlook names hybrids of both, and its protocol has labelled anomalies in validation.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import keras
import numpy as np
import tensorflow as tf

from dualad.design.parameters import (
    DualAutoencoderParams,
    DualHybridParams,
    MonteCarloParams,
    Score,
)
from dualad.errors import DualadError
from dualad.files import reading
from dualad.methods.base import Detector, Experiment, FitReport, FloatArray, Floats, Scored
from dualad.methods.dual_autoencoder import DualAutoencoder
from dualad.methods.regression import CrossFittedRegression, LabelledImages
from dualad.network.batches import map_batches
from dualad.network.model import encode, save_model
from dualad.network.scores import SCORE_NAMES

_BATCH = 256
_MAP: Score = "blurred_z"
_NETWORK = DualAutoencoderParams(score=_MAP, mc=MonteCarloParams(samples=0))
"""What is asked of the network. How it was trained is in its files."""


class DualHybrid(Detector):
    """Logistic regression on the scores, the latent codes, and statistics of the image.

    The network is that of another method, trained on normal images. Labels of its validation images
    decide about the regression alone. The map is the network's, of `blurred_z`; there is no Monte
    Carlo dropout, because the codes and statistics do not vary with the decoder's masks.

    Attributes
    ----------
    network_ : DualAutoencoder
    regression_ : CrossFittedRegression
    """

    family = "dual_hybrid"
    params: DualHybridParams
    network_: DualAutoencoder
    regression_: CrossFittedRegression

    @property
    def held_out(self) -> Mapping[int, float]:
        return self.regression_.held_out

    def fit(self, experiment: Experiment) -> FitReport:
        folder = experiment.network
        if folder is None:
            raise DualadError(
                f"{self.family}: needs the folder of a fitted method of the family dual_autoencoder"
            )
        self.network_ = DualAutoencoder.load(folder, _NETWORK)
        with reading(folder / "fit.json"):
            trained = FitReport.read(folder / "fit.json")
        validation = np.array(trained.validation, dtype=np.int64)
        images = LabelledImages.of_validation(experiment, validation)
        batches = [
            self._features(batch, self.network_.score(batch))
            for batch in experiment.dataset.batches(validation, self.scoring_batch)
        ]
        features = [np.concatenate(parts) for parts in zip(*batches, strict=True)]
        seed = experiment.seeds(self.params).numpy
        self.regression_ = CrossFittedRegression.fit(features, images, self.params, seed)
        return FitReport(
            family=self.family,
            n_parameters=trained.n_parameters + self.regression_.size,
            validation=trained.validation,
            reconstruction_skill=trained.reconstruction_skill,
            notes=[*trained.notes, *self.regression_.notes],
            seconds=trained.seconds,
        )

    def score(self, images: FloatArray) -> Scored:
        found = self.network_.score(images)
        return Scored(
            {self.family: self.regression_.score(self._features(images, found))},
            maps={self.family: found.maps[_MAP]},
            reconstruction=found.reconstruction,
        )

    def saliency(self, images: FloatArray) -> FloatArray:
        return self.network_.saliency(images)

    def save(self, folder: Path) -> None:
        save_model(self.network_.model_, folder / "model.keras")
        self.network_.statistics_.save(folder / "residuals.npz")
        self.regression_.save(folder)

    @classmethod
    def load(cls, folder: Path, params: Any) -> Self:
        detector = cls(params)
        detector.network_ = DualAutoencoder.load(folder, _NETWORK)
        detector.regression_ = CrossFittedRegression.load(folder)
        return detector

    def _features(self, images: FloatArray, found: Scored) -> list[Floats]:
        """What the regression sees of images (n, S, S): blocks (n, 4), (n, 7) and (n, d_z)."""
        scores = np.stack([found.scores[name] for name in SCORE_NAMES], axis=1)
        (codes,) = map_batches(lambda batch: [_codes(self.network_.model_, batch)], images, _BATCH)
        return [_log(scores), image_statistics(images), codes.astype(np.float64)]


def image_statistics(images: FloatArray) -> Floats:
    """Seven statistics (n, 7) of images (n, S, S), S at least 3.

    Mean, standard deviation, quantiles 0.05, 0.5 and 0.95 of the pixels; mean absolute gradient
    (differences of neighbours); mean absolute Laplacian (differences from the four neighbours).
    """
    pixels = images.astype(np.float64)
    axes = (1, 2)
    gradients = [np.abs(np.diff(pixels, axis=axis)).mean(axis=axes) for axis in axes]
    inner = pixels[:, 1:-1, 1:-1]
    around = pixels[:, :-2, 1:-1] + pixels[:, 2:, 1:-1] + pixels[:, 1:-1, :-2] + pixels[:, 1:-1, 2:]
    return np.stack(
        [
            pixels.mean(axis=axes),
            pixels.std(axis=axes),
            *np.quantile(pixels, (0.05, 0.5, 0.95), axis=axes),
            np.mean(gradients, axis=0),
            np.abs(4 * inner - around).mean(axis=axes),
        ],
        axis=1,
    )


def _log(scores: Floats) -> Floats:
    """Logarithms of errors, whose ratios count; finite for an exact reconstruction too."""
    logarithms: Floats = np.log(np.maximum(scores, np.finfo(np.float32).tiny))
    return logarithms


@tf.function(jit_compile=True, autograph=False)
def _codes(model: keras.Model, images: tf.Tensor) -> tf.Tensor:
    return encode(model, images[..., tf.newaxis])
