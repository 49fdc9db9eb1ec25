"""CFLOW: likelihood of pretrained features at their position (Gudovskiy et al., WACV 2022)."""

import keras
import numpy as np
import tensorflow as tf

from dualad.data.plan import Seeds
from dualad.design.parameters import CflowParams
from dualad.methods.base import Experiment, FloatArray, Floats, Indices
from dualad.methods.baselines.feature_detector import (
    FeatureDetector,
    flat_weights,
    sample_images,
    set_flat_weights,
    stage_features,
)
from dualad.methods.baselines.flows import ConditionalFlow

_SCORING_BATCH = 8192
_LOG_2_PI = float(np.log(2 * np.pi))


class Cflow(FeatureDetector):
    """A conditional normalizing flow per level of a feature pyramid.

    Single feature vectors are conditioned on a sine-cosine code of their position (section 4.2) and
    pass `blocks` affine couplings; the loss is -log sigmoid(log p / c) (the published code's form
    of eq. 7). Per level, exp(log p / c - max) is a normality; enlarged and summed over the levels,
    then inverted, it is the anomaly map, whose maximum is the score (section 4.3). The published
    code takes that max over the test set; here it is over training features, so that an image's
    score does not depend on others.

    Attributes
    ----------
    weights_ : float32 array
        Weights of the flows, one after another.
    ceilings_ : float32 array (levels,)
        Largest log p / c of a training feature, per level.
    seed_ : int64 array ()
        Of the fixed rotations.
    """

    family = "cflow"
    stages = (2, 3, 4)
    arrays = ("weights_", "ceilings_", "seed_")
    params: CflowParams

    def __init__(self, params: CflowParams) -> None:
        super().__init__(params)
        self._flows: list[ConditionalFlow] | None = None

    def _learn(self, experiment: Experiment, train: Indices, seeds: Seeds) -> list[str]:
        rng = np.random.default_rng([seeds.numpy, 1])
        chosen, notes = sample_images(train, self.params.max_images, rng)
        levels = stage_features(self.extractor_, experiment, chosen)
        self.seed_ = np.int64(rng.integers(2**31))
        self._flows = flows = self._build()
        ceilings = []
        for flow, features in zip(flows, levels, strict=True):
            vectors = features.reshape(-1, features.shape[-1])
            codes = self._codes(features)
            self._train(flow, vectors, codes, rng)
            ceilings.append(self._log_likelihood(flow, vectors, codes).max())
        self.ceilings_ = np.array(ceilings, dtype=np.float32)
        self.weights_ = flat_weights(flows)
        return notes

    def _score_features(self, features: list[FloatArray]) -> tuple[None, FloatArray]:
        if self._flows is None:
            self._flows = self._build()
            set_flat_weights(self._flows, self.weights_)
        size = features[0].shape[1:3]
        normality = np.zeros((len(features[0]), *size), dtype=np.float32)
        for flow, level, ceiling in zip(self._flows, features, self.ceilings_, strict=True):
            vectors = level.reshape(-1, level.shape[-1])
            relative = self._log_likelihood(flow, vectors, self._codes(level)) - ceiling
            grid = np.exp(np.minimum(relative, 0)).reshape(*level.shape[:3], 1)
            normality += tf.image.resize(grid, size)[..., 0].numpy()
        return None, len(features) - normality

    def _build(self) -> list[ConditionalFlow]:
        rng = np.random.default_rng(int(self.seed_))
        params = self.params
        return [
            ConditionalFlow(channels, params.code, params.blocks, params.clamp, rng)
            for channels in self.extractor_.channels
        ]

    def _codes(self, features: FloatArray) -> FloatArray:
        """The position codes (h * w, code), which repeat from image to image."""
        h, w = features.shape[1:3]
        return position_code(h, w, self.params.code).reshape(h * w, -1)

    def _train(
        self,
        flow: ConditionalFlow,
        vectors: FloatArray,
        codes: FloatArray,
        rng: np.random.Generator,
    ) -> None:
        optimizer = keras.optimizers.Adam(self.params.learning_rate)
        optimizer.build(flow.trainable_variables)
        channels = vectors.shape[1]

        @tf.function(jit_compile=True, autograph=False)
        def step(batch: tf.Tensor, code: tf.Tensor) -> None:
            with tf.GradientTape() as tape:
                per_channel = log_likelihood(*flow(batch, code)) / channels
                loss = -tf.reduce_mean(tf.math.log_sigmoid(per_channel))
            gradients = tape.gradient(loss, flow.trainable_variables)
            optimizer.apply(gradients, flow.trainable_variables)

        # As many steps on every level: by passes, the coarse one would hardly be trained.
        for _ in range(self.params.steps):
            rows = rng.integers(len(vectors), size=self.params.batch_size)
            step(tf.constant(vectors[rows]), tf.constant(codes[rows % len(codes)]))

    def _log_likelihood(
        self, flow: ConditionalFlow, vectors: FloatArray, codes: FloatArray
    ) -> FloatArray:
        """The log p / c of every feature vector."""
        parts = []
        for start in range(0, len(vectors), _SCORING_BATCH):
            rows = np.arange(start, min(start + _SCORING_BATCH, len(vectors)))
            parts.append(_likelihood(flow, vectors[rows], codes[rows % len(codes)]))
        return np.asarray(np.concatenate(parts) / vectors.shape[1], dtype=np.float32)


def log_likelihood(z: tf.Tensor, log_determinant: tf.Tensor) -> tf.Tensor:
    """The log p (n,) of what a flow mapped to z (n, c), standard normal there (eq. 2)."""
    channels = z.shape[1]
    return log_determinant - 0.5 * (tf.reduce_sum(z**2, axis=1) + channels * _LOG_2_PI)


def position_code(h: int, w: int, size: int) -> FloatArray:
    """Sine-cosine code (h, w, size) of every position of a grid (Vaswani et al., 2017, in 2-D).

    The first half encodes the column, the second the row; sines and cosines alternate, with
    wavelengths from 2 pi to 10,000 * 2 pi. `size` is a multiple of 4.
    """
    frequencies = np.exp(-np.log(1e4) * np.arange(0, size // 2, 2) / (size // 2))

    def along(length: int) -> Floats:
        angles = np.arange(length)[:, np.newaxis] * frequencies
        return np.stack([np.sin(angles), np.cos(angles)], axis=-1).reshape(length, -1)

    columns = np.broadcast_to(along(w)[np.newaxis], (h, w, size // 2))
    rows = np.broadcast_to(along(h)[:, np.newaxis], (h, w, size // 2))
    return np.concatenate([columns, rows], axis=-1).astype(np.float32)


@tf.function(reduce_retracing=True, autograph=False)
def _likelihood(flow: ConditionalFlow, vectors: tf.Tensor, codes: tf.Tensor) -> tf.Tensor:
    return log_likelihood(*flow(vectors, codes))
