"""The dual encoder on feature maps of a pretrained network, an extension of the paper's Fig. 1.

The paper's pixel encoder becomes an encoder of one location's feature vector, its image encoder one
of the whole map's statistics. The decoder, shared by all locations, reconstructs the vector from
both codes and the location's position.
"""

import keras
import numpy as np
import numpy.typing as npt
from keras import layers

from dualad.design.parameters import DualFeaturesParams
from dualad.network.model import build_decoder, build_encoder

FloatArray = npt.NDArray[np.float32]

_FREQUENCIES = 4
"""Of the position code; the highest has a period of a quarter of the map."""
_DEVIATION_FLOOR = 1e-3
"""Smallest deviation that is divided by, as a fraction of the mean one: a channel that hardly
varies in training must not dominate."""


@keras.saving.register_keras_serializable("dualad")
class Standardisation(layers.Layer):
    """Subtract a mean and divide by a deviation, both (d,); 0 and 1 until `adapt` sets them."""

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        width = (input_shape[-1],)
        self.mean = self.add_weight(name="mean", shape=width, initializer="zeros", trainable=False)
        self.deviation = self.add_weight(
            name="deviation", shape=width, initializer="ones", trainable=False
        )
        self.built = True

    def call(self, inputs: keras.KerasTensor) -> keras.KerasTensor:
        return (inputs - self.mean) / self.deviation

    def adapt(self, mean: npt.NDArray[np.floating], deviation: npt.NDArray[np.floating]) -> None:
        """Set mean and deviation, both (d,)."""
        floor = max(_DEVIATION_FLOOR * float(np.mean(deviation)), float(np.finfo(np.float32).tiny))
        self.mean.assign(mean)
        self.deviation.assign(np.maximum(deviation, floor))


@keras.saving.register_keras_serializable("dualad")
class Rows(layers.Layer):
    """The vectors (n, l, c) of l locations of n images as rows (n l, c)."""

    def call(self, inputs: keras.KerasTensor) -> keras.KerasTensor:
        return keras.ops.reshape(inputs, (-1, inputs.shape[-1]))


@keras.saving.register_keras_serializable("dualad")
class RepeatedCode(layers.Layer):
    """An image's code (n, z) at every one of its locations, as rows (n l, z)."""

    def call(self, code: keras.KerasTensor, vectors: keras.KerasTensor) -> keras.KerasTensor:
        repeated = code[:, None] + keras.ops.zeros_like(vectors[..., :1])
        return keras.ops.reshape(repeated, (-1, code.shape[-1]))


def build_feature_autoencoder(
    n_channels: int, params: DualFeaturesParams, seed: int
) -> keras.Model:
    """The network, for c channels.

    It takes, for l locations of n images, `vectors` (n, l, c), the feature vector of each location;
    `summary` (n, 2 c), each image's `map_summaries`; and `position` (n, l, 16), rows of
    `position_code`. It gives the reconstructions of the standardised vectors and these vectors
    themselves, both (n l, c). All initial weights and dropout streams derive from `seed`; dropout
    rates start at 0.
    """
    widths = {"image": params.image_encoder_widths, "pixel": params.pixel_encoder_widths}
    n_layers = [*map(len, widths.values()), len(params.decoder_widths) + 1]
    states = np.random.SeedSequence(seed).generate_state(2 * sum(n_layers)) % 2**31
    parts = np.split(states, 2 * np.cumsum(n_layers)[:-1])
    seeds = {
        name: part.tolist() for name, part in zip(("image", "pixel", "decoder"), parts, strict=True)
    }

    vectors = keras.Input((None, n_channels), name="vectors")
    summary = keras.Input((2 * n_channels,), name="summary")
    position = keras.Input((None, 4 * _FREQUENCIES), name="position")
    standardised = Standardisation(name="pixel_standardisation")(Rows()(vectors))

    def code(name: str, inputs: keras.KerasTensor) -> keras.KerasTensor:
        slope = params.leaky_relu_slope
        return build_encoder(name, inputs.shape[-1], widths[name], slope, seeds[name])(inputs)

    codes = []
    if "image" in params.encoders:
        standard_summary = Standardisation(name="image_standardisation")(summary)
        codes.append(RepeatedCode()(code("image", standard_summary), vectors))
    if "pixel" in params.encoders:
        codes.append(code("pixel", standardised))
    latent = layers.Concatenate(name="latent")([*codes, Rows()(position)])
    decoder = build_decoder(
        latent.shape[-1],
        params.decoder_widths,
        n_channels,
        params.leaky_relu_slope,
        seeds["decoder"],
        activation=None,
    )
    return keras.Model(
        [vectors, summary, position], [decoder(latent), standardised], name="dual_features"
    )


def encoding_part(model: keras.Model) -> keras.Model:
    """The network up to its decoder: latent codes and standardised vectors, both by rows."""
    outputs = [model.get_layer(name).output for name in ("latent", "pixel_standardisation")]
    return keras.Model(model.inputs, outputs)


def position_code(height: int, width: int) -> FloatArray:
    """Sines and cosines of the row and the column of every location of a map, row by row.

    Returns
    -------
    float32 array (height * width, 16) in [-1, 1]
        With half a period over the map, and with one, two and four.
    """
    rows, columns = np.mgrid[:height, :width]
    angles = [
        np.pi * 2.0**power * part
        for part in (rows / height, columns / width)
        for power in range(_FREQUENCIES)
    ]
    code = [function(angle).reshape(-1) for angle in angles for function in (np.sin, np.cos)]
    return np.stack(code, axis=-1).astype(np.float32)


def map_summaries(maps: npt.NDArray[np.floating]) -> FloatArray:
    """Mean and deviation over the map of every channel, (n, 2 c), of feature maps (n, p, c)."""
    single = maps.astype(np.float32)
    return np.concatenate([single.mean(axis=1), single.std(axis=1)], axis=-1)
