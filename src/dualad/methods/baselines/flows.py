"""Invertible layers: affine couplings whose scale is bounded, for CFLOW and CS-Flow.

Every layer maps x to z with `call` and back with `inverse`, and gives log |det dz/dx| per sample.
"""

from collections.abc import Sequence

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf
from keras import layers

FloatArray = npt.NDArray[np.float32]


def bounded(raw: tf.Tensor, clamp: float) -> tf.Tensor:
    """Logarithms of scales, smoothly held within [-clamp, clamp] (RealNVP's soft clamp)."""
    return clamp * 2 / np.pi * tf.math.atan(raw / clamp)


class ConditionalFlow(keras.Model):
    """Flow on single feature vectors (n, c), conditioned on codes (n, k): CFLOW's decoder.

    Each block rotates by a fixed orthogonal matrix; scales and shifts one half by the output of a
    network with one hidden layer, whose input is the other half and the code; and ends in a learned
    affine map per channel.

    Parameters
    ----------
    channels : int
        At least 2.
    code : int
        k.
    blocks : int
        Number of couplings.
    clamp : float
        Bound of the logarithms of the couplings' scales.
    rng : numpy.random.Generator
        Draws rotations and initial weights.
    """

    def __init__(
        self, channels: int, code: int, blocks: int, clamp: float, rng: np.random.Generator
    ) -> None:
        super().__init__()
        self.clamp = clamp
        self.kept = channels // 2
        moved = channels - self.kept
        self.rotations = [rotation(channels, rng) for _ in range(blocks)]
        self.networks = [
            keras.Sequential(
                [
                    keras.Input((self.kept + code,)),
                    layers.Dense(2 * channels, "relu", kernel_initializer=glorot(rng)),
                    layers.Dense(2 * moved, kernel_initializer=glorot(rng)),
                ]
            )
            for _ in range(blocks)
        ]
        self.log_scales = [
            self.add_weight(name=f"log_scale_{i}", shape=(channels,), initializer="zeros")
            for i in range(blocks)
        ]
        self.offsets = [
            self.add_weight(name=f"offset_{i}", shape=(channels,), initializer="zeros")
            for i in range(blocks)
        ]
        self.built = True

    def call(self, x: tf.Tensor, code: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """The z (n, c) and log-determinants (n,)."""
        total = tf.zeros(tf.shape(x)[0])
        for i, rotate in enumerate(self.rotations):
            kept, moved = self._halves(tf.matmul(x, rotate))
            log_scale, shift = self._affine(i, kept, code)
            moved = moved * tf.exp(log_scale) + shift
            x = tf.concat([kept, moved], 1) * tf.exp(self.log_scales[i]) + self.offsets[i]
            total += tf.reduce_sum(log_scale, 1) + tf.reduce_sum(self.log_scales[i])
        return x, total

    def inverse(self, z: tf.Tensor, code: tf.Tensor) -> tf.Tensor:
        """The x (n, c) that `call` maps to z."""
        for i in reversed(range(len(self.rotations))):
            kept, moved = self._halves((z - self.offsets[i]) * tf.exp(-self.log_scales[i]))
            log_scale, shift = self._affine(i, kept, code)
            moved = (moved - shift) * tf.exp(-log_scale)
            z = tf.matmul(tf.concat([kept, moved], 1), self.rotations[i], transpose_b=True)
        return z

    def _halves(self, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return x[:, : self.kept], x[:, self.kept :]

    def _affine(self, block: int, kept: tf.Tensor, code: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        raw, shift = tf.split(self.networks[block](tf.concat([kept, code], 1)), 2, axis=1)
        # Small at first, so that training starts near the identity.
        return bounded(0.1 * raw, self.clamp), 0.1 * shift


class CrossScaleFlow(keras.Model):
    """Flow on feature maps at several scales at once: CS-Flow (section 3.2, Fig. 4).

    Each block permutes the channels, then couples the two halves of the channels both ways. The
    network inside a coupling convolves every scale and adds the resampled features of neighbouring
    scales. A gain per channel, which starts at 0, makes every block the identity at first.

    Parameters
    ----------
    channels : int
        Channels of every scale, even.
    scales : int
        From fine to coarse, each about half of the one before.
    hidden : int
        Channels inside the couplings' networks.
    kernels : sequence of int
        Side of the convolutions, one coupling block each.
    clamp : float
    rng : numpy.random.Generator
    """

    def __init__(
        self,
        channels: int,
        scales: int,
        hidden: int,
        kernels: Sequence[int],
        clamp: float,
        rng: np.random.Generator,
    ) -> None:
        super().__init__()
        self.clamp = clamp
        self.permutations = [rng.permutation(channels) for _ in kernels]
        self.networks = [
            [CrossScaleNetwork(channels // 2, scales, hidden, kernel, rng) for _ in range(2)]
            for kernel in kernels
        ]

    def call(self, maps: Sequence[tf.Tensor]) -> tuple[list[tf.Tensor], tf.Tensor]:
        """Maps z like the given ones (n, h, w, c), and log-determinants (n,) of all together."""
        current = list(maps)
        total = tf.zeros(tf.shape(current[0])[0])
        for permutation, (first, second) in zip(self.permutations, self.networks, strict=True):
            halves = [tf.split(tf.gather(x, permutation, axis=-1), 2, axis=-1) for x in current]
            left, right = [h[0] for h in halves], [h[1] for h in halves]
            left, gained = self._couple(left, first(right))
            right, gained_too = self._couple(right, second(left))
            total += gained + gained_too
            current = [tf.concat(pair, -1) for pair in zip(left, right, strict=True)]
        return current, total

    def inverse(self, maps: Sequence[tf.Tensor]) -> list[tf.Tensor]:
        """The maps that `call` maps to these."""
        current = list(maps)
        for permutation, (first, second) in reversed(
            list(zip(self.permutations, self.networks, strict=True))
        ):
            halves = [tf.split(x, 2, axis=-1) for x in current]
            left, right = [h[0] for h in halves], [h[1] for h in halves]
            right = self._uncouple(right, second(left))
            left = self._uncouple(left, first(right))
            back = np.argsort(permutation)
            joined = [tf.concat(pair, -1) for pair in zip(left, right, strict=True)]
            current = [tf.gather(x, back, axis=-1) for x in joined]
        return current

    def _couple(
        self, maps: Sequence[tf.Tensor], raw_maps: Sequence[tf.Tensor]
    ) -> tuple[list[tf.Tensor], tf.Tensor]:
        moved, gained = [], tf.zeros(tf.shape(maps[0])[0])
        for x, raw in zip(maps, raw_maps, strict=True):
            log_scale, shift = self._affine(raw)
            moved.append(x * tf.exp(log_scale) + shift)
            gained += tf.reduce_sum(log_scale, [1, 2, 3])
        return moved, gained

    def _uncouple(
        self, maps: Sequence[tf.Tensor], raw_maps: Sequence[tf.Tensor]
    ) -> list[tf.Tensor]:
        affine = [self._affine(raw) for raw in raw_maps]
        return [(x - t) * tf.exp(-s) for x, (s, t) in zip(maps, affine, strict=True)]

    def _affine(self, raw: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        scale, shift = tf.split(raw, 2, axis=-1)
        return bounded(scale, self.clamp), shift


class CrossScaleNetwork(layers.Layer):
    """Network in a coupling of `CrossScaleFlow`; it has twice as many output as input channels."""

    def __init__(
        self, channels: int, scales: int, hidden: int, kernel: int, rng: np.random.Generator
    ) -> None:
        super().__init__()

        def convolution(filters: int, side: int = kernel, stride: int = 1) -> layers.Conv2D:
            return layers.Conv2D(
                filters, side, stride, padding="same", kernel_initializer=glorot(rng)
            )

        self.inner = [convolution(hidden) for _ in range(scales)]
        self.outer = [convolution(2 * channels) for _ in range(scales)]
        self.downward = [convolution(2 * channels, stride=2) for _ in range(scales - 1)]
        self.upward = [convolution(2 * channels) for _ in range(scales - 1)]
        self.gains = [
            self.add_weight(name=f"gain_{i}", shape=(2 * channels,), initializer="zeros")
            for i in range(scales)
        ]

    def call(self, maps: Sequence[tf.Tensor]) -> list[tf.Tensor]:
        hidden = [
            tf.nn.leaky_relu(inner(x), 0.1) for inner, x in zip(self.inner, maps, strict=True)
        ]
        outputs = [outer(h) for outer, h in zip(self.outer, hidden, strict=True)]
        for i, (down, up) in enumerate(zip(self.downward, self.upward, strict=True)):
            fine, coarse = tf.shape(outputs[i])[1:3], tf.shape(outputs[i + 1])[1:3]
            outputs[i] += up(tf.image.resize(hidden[i + 1], fine))
            outputs[i + 1] += tf.image.resize(down(hidden[i]), coarse)
        return [gain * x for gain, x in zip(self.gains, outputs, strict=True)]


def rotation(size: int, rng: np.random.Generator) -> FloatArray:
    """A random orthogonal matrix (size, size)."""
    q, r = np.linalg.qr(rng.standard_normal((size, size)))
    return np.asarray(q * np.sign(np.diag(r)), dtype=np.float32)


def glorot(rng: np.random.Generator) -> keras.initializers.Initializer:
    """Glorot's uniform initial weights, from a seed of their own."""
    return keras.initializers.GlorotUniform(seed=int(rng.integers(2**31)))
