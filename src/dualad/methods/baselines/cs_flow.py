"""CS-Flow: likelihood of feature maps at three scales together (Rudolph et al., WACV 2022)."""

import keras
import numpy as np
import tensorflow as tf

from dualad.data.plan import Seeds
from dualad.design.parameters import CsFlowParams
from dualad.methods.base import Experiment, FloatArray, Floats, Indices
from dualad.methods.baselines.feature_detector import (
    FeatureDetector,
    flat_weights,
    sample_images,
    set_flat_weights,
    stage_features,
)
from dualad.methods.baselines.features import FeatureExtractor
from dualad.methods.baselines.flows import CrossScaleFlow

SCALES = (1.0, 0.5, 0.25)
"""Sides of the input images, as fractions of `input_size` (section 4.2)."""


class CsFlow(FeatureDetector):
    """A cross-scale flow on the features of one stage, of the image at three sizes.

    Loss and score are those of eqs. 4 and 6: the mean over all dimensions of |z|^2 / 2 less the
    log-determinant, and the mean of z^2 / 2. The map is the mean over channels, enlarged and
    averaged over the scales. The publication takes EfficientNet-B5 at 768 pixels and 1024 hidden
    channels; the defaults here suit a card of 6 GB and two processor cores. Features are divided by
    their mean deviation, because without it the scale of another backbone would set the learning
    rate's meaning.

    Attributes
    ----------
    weights_ : float32 array
        Weights of the flow, one after another.
    scale_ : float32 array ()
        What features are multiplied by.
    seed_ : int64 array ()
        Of the fixed permutations.
    """

    family = "cs_flow"
    stages = (3,)
    arrays = ("weights_", "scale_", "seed_")
    params: CsFlowParams

    def __init__(self, params: CsFlowParams) -> None:
        super().__init__(params)
        self._flow: CrossScaleFlow | None = None

    def _extractor(self, seed: int) -> FeatureExtractor:
        return FeatureExtractor(self.params, self.stages, seed, scales=SCALES)

    def _learn(self, experiment: Experiment, train: Indices, seeds: Seeds) -> list[str]:
        rng = np.random.default_rng([seeds.numpy, 1])
        chosen, notes = sample_images(train, self.params.max_images, rng)
        maps = stage_features(self.extractor_, experiment, chosen)
        self.scale_ = np.float32(1 / maps[0].std(axis=(0, 1, 2), dtype=np.float64).mean())
        for scale in maps:
            scale *= self.scale_
        self.seed_ = np.int64(rng.integers(2**31))
        self._flow = self._build([scale[:1] for scale in maps])
        self._train(self._flow, maps, rng)
        self.weights_ = flat_weights([self._flow])
        return notes

    def _train(
        self, flow: CrossScaleFlow, maps: list[FloatArray], rng: np.random.Generator
    ) -> None:
        params = self.params
        optimizer = keras.optimizers.Adam(
            params.learning_rate, epsilon=1e-4, weight_decay=params.weight_decay
        )
        optimizer.build(flow.trainable_variables)

        @tf.function(autograph=False)
        def step(batch: list[tf.Tensor]) -> None:
            with tf.GradientTape() as tape:
                loss = tf.reduce_mean(negative_log_likelihood(*flow(batch)))
            gradients = tape.gradient(loss, flow.trainable_variables)
            clipped, _ = tf.clip_by_global_norm(gradients, params.max_gradient)
            optimizer.apply(clipped, flow.trainable_variables)

        n = len(maps[0])
        size = min(params.batch_size, n)
        for _ in range(params.epochs):
            order = rng.permutation(n)
            for start in range(0, n - size + 1, size):
                rows = order[start : start + size]
                step([tf.constant(scale[rows]) for scale in maps])

    def _score_features(self, features: list[FloatArray]) -> tuple[Floats, FloatArray]:
        scaled = [scale * self.scale_ for scale in features]
        if self._flow is None:
            self._flow = self._build([scale[:1] for scale in scaled])
            set_flat_weights([self._flow], self.weights_)
        squares = [np.square(np.asarray(z)) / 2 for z in _latent(self._flow, scaled)]
        flat = np.concatenate([square.reshape(len(square), -1) for square in squares], axis=1)
        grids = [square.mean(axis=-1, keepdims=True) for square in squares]
        size = grids[0].shape[1:3]
        maps = np.mean([tf.image.resize(grid, size)[..., 0] for grid in grids], axis=0)
        return flat.mean(axis=1, dtype=np.float64), maps

    def _build(self, example: list[FloatArray]) -> CrossScaleFlow:
        params = self.params
        flow = CrossScaleFlow(
            example[0].shape[-1],
            len(example),
            params.hidden,
            params.kernels,
            params.clamp,
            np.random.default_rng(int(self.seed_)),
        )
        flow([tf.constant(scale) for scale in example])
        return flow


def negative_log_likelihood(z: list[tf.Tensor], log_determinant: tf.Tensor) -> tf.Tensor:
    """Eq. 4 without its constant, per dimension (n,)."""
    squares = tf.add_n([tf.reduce_sum(scale**2, axis=[1, 2, 3]) for scale in z])
    dimensions = sum(int(np.prod(scale.shape[1:])) for scale in z)
    return (squares / 2 - log_determinant) / dimensions


@tf.function(reduce_retracing=True, autograph=False)
def _latent(flow: CrossScaleFlow, maps: list[tf.Tensor]) -> list[tf.Tensor]:
    z, _ = flow(maps)
    return list(z)
