"""The dual autoencoder of section 3.2 (Fig. 1, Tables 2 and 3), as a Keras model."""

import math
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf
from keras import layers

from dualad.design.parameters import DualAutoencoderParams
from dualad.files import reading, replacing

FloatArray = npt.NDArray[np.float32]

_DRAWS = 4
"""Units whose dropout is decided by one random number of 64 bits."""
_PHILOX = tf.random.Algorithm.PHILOX.value

_LOGIT_MARGIN = 1e-3
"""Keeps the logit of black and white pixels of the mean image finite."""


@keras.saving.register_keras_serializable("dualad")
class AdjustableDropout(layers.Layer):
    """Dropout (eqs. 5, 11, 17) whose rate is a weight.

    The rate can then change without rebuilding or recompiling the network, so that all trials of a
    search share one compiled training step, and it is saved with the model.

    Parameters
    ----------
    rate : float
        Initial fraction of units to drop, in [0, 1), kept to 1 / 65,536.
    seed : int
        Starts this layer's own random stream; a loaded model starts it anew.
    """

    def __init__(self, rate: float, seed: int, **kwargs: object) -> None:
        super().__init__(**kwargs)
        self.initial_rate = rate
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        self.rate = self.add_weight(
            name="rate",
            shape=(),
            initializer=keras.initializers.Constant(self.initial_rate),
            trainable=False,
        )
        self.built = True

    def call(self, inputs: keras.KerasTensor, training: bool = False) -> keras.KerasTensor:
        if not training:
            return inputs
        # Keras's own draw compiles, on the CPU, to a generator ten times slower than the decoder
        # itself. Philox is the same on every device, and four units share its cost where each
        # takes 16 of 64 bits.
        width = inputs.shape[-1]
        shape = tf.shape(inputs)[0], math.ceil(width / _DRAWS)
        seed = tf.convert_to_tensor(self.seed_generator.next())
        # The bits of tf.random.stateless_uniform with `alg="philox"`, which scrambles the seed by a
        # dozen operations, and each takes time to trace.
        key, counter = tf.raw_ops.StatelessRandomGetKeyCounter(seed=seed)
        words = tf.raw_ops.StatelessRandomUniformFullIntV2(
            shape=shape, key=key, counter=counter, alg=_PHILOX, dtype=tf.uint64
        )
        draws = tf.reshape(tf.bitcast(words, tf.uint16), (-1, _DRAWS * shape[1]))[:, :width]
        keep = tf.cast(draws, inputs.dtype) >= self.rate * 2**16
        return inputs * tf.cast(keep, inputs.dtype) / (1 - self.rate)

    def get_config(self) -> dict[str, object]:
        return {**super().get_config(), "rate": self.initial_rate, "seed": self.seed}


@keras.saving.register_keras_serializable("dualad")
class Centering(layers.Layer):
    """Subtract the mean image of the training set (our extension; zero until set)."""

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        self.mean = self.add_weight(
            name="mean", shape=input_shape[1:], initializer="zeros", trainable=False
        )
        self.built = True

    def call(self, inputs: keras.KerasTensor) -> keras.KerasTensor:
        return inputs - self.mean


def build_encoder(
    name: str, n_inputs: int, widths: Sequence[int], slope: float, seeds: Sequence[int]
) -> keras.Model:
    """Encoder d -> widths[0] -> ... -> widths[-1] (eqs. 2-13, Table 2).

    Leaky ReLU after every layer, dropout after all but the last; two of `seeds` for every layer.
    """
    inputs = keras.Input((n_inputs,))
    hidden = inputs
    for i, width in enumerate(widths):
        dense = _wide_dense if i == 0 else _dense
        hidden = dense(width, seeds[2 * i])(hidden)
        hidden = layers.LeakyReLU(slope)(hidden)
        if i < len(widths) - 1:
            hidden = AdjustableDropout(0.0, seeds[2 * i + 1], name=f"{name}_dropout_{i}")(hidden)
    return keras.Model(inputs, hidden, name=f"{name}_encoder")


def build_decoder(
    n_latent: int,
    widths: Sequence[int],
    n_outputs: int,
    slope: float,
    seeds: Sequence[int],
    activation: str | None = "sigmoid",
) -> keras.Model:
    """Decoder latent -> widths[0] -> ... -> d, the paper's with a sigmoid (eqs. 14-20, Table 3)."""
    inputs = keras.Input((n_latent,))
    hidden = inputs
    for i, width in enumerate(widths):
        hidden = _dense(width, seeds[2 * i])(hidden)
        hidden = layers.LeakyReLU(slope)(hidden)
        hidden = AdjustableDropout(0.0, seeds[2 * i + 1], name=f"decoder_dropout_{i}")(hidden)
    outputs = _dense(n_outputs, seeds[2 * len(widths)], activation, name="reconstruction")(hidden)
    return keras.Model(inputs, outputs, name="decoder")


def build_dual_autoencoder(
    image_size: int, params: DualAutoencoderParams, seed: int
) -> keras.Model:
    """The network: one encoder per name in `params.encoders`, latent codes concatenated, decoder.

    Maps float32 images (n, S, S, 1) in [0, 1] to reconstructions of the same shape and range.
    All initial weights and dropout streams derive from `seed`; dropout rates and the centring image
    start at 0.
    """
    n_pixels = image_size**2
    n_seeds = 2 * len(params.encoder_widths)
    n_states = 2 * n_seeds + 2 * len(params.decoder_widths) + 1
    states = np.random.SeedSequence(seed).generate_state(n_states) % 2**31
    seeds = {
        "image": [int(s) for s in states[:n_seeds]],
        "pixel": [int(s) for s in states[n_seeds : 2 * n_seeds]],
        "decoder": [int(s) for s in states[2 * n_seeds :]],
    }
    image = keras.Input((image_size, image_size, 1), name="image")
    pixels = layers.Flatten()(image)
    if params.centering:
        pixels = Centering(name="centering")(pixels)
    codes = [
        build_encoder(name, n_pixels, params.encoder_widths, params.leaky_relu_slope, seeds[name])(
            pixels
        )
        for name in params.encoders
    ]
    latent = layers.Concatenate(name="latent")(codes) if len(codes) > 1 else codes[0]
    decoder = build_decoder(
        latent.shape[-1], params.decoder_widths, n_pixels, params.leaky_relu_slope, seeds["decoder"]
    )
    outputs = layers.Reshape((image_size, image_size, 1))(decoder(latent))
    return keras.Model(image, outputs, name="dual_autoencoder")


def dropout_layers(model: keras.Model) -> list[AdjustableDropout]:
    """The dropout layers in the order image, pixel, decoder; nine in the paper's network."""
    return [
        layer
        for part in model.layers
        if isinstance(part, keras.Model)
        for layer in part.layers
        if isinstance(layer, AdjustableDropout)
    ]


def restart_dropout(model: keras.Model) -> None:
    """Let the random stream of every dropout layer begin anew."""
    for layer in dropout_layers(model):
        stream = keras.random.SeedGenerator(layer.seed)
        layer.seed_generator.state.assign(stream.state)


def set_dropout(model: keras.Model, rates: Sequence[float]) -> None:
    """Set the rate of every dropout layer, in the order of `dropout_layers`."""
    for layer, rate in zip(dropout_layers(model), rates, strict=True):
        layer.rate.assign(rate)


def centre(model: keras.Model, mean_image: FloatArray) -> None:
    """Centre the encoders' input on `mean_image` (S, S); the output bias starts at its logit."""
    mean = np.clip(mean_image.reshape(-1), _LOGIT_MARGIN, 1 - _LOGIT_MARGIN)
    model.get_layer("centering").mean.assign(mean_image.reshape(-1))
    bias = model.get_layer("decoder").get_layer("reconstruction").bias
    bias.assign(np.log(mean / (1 - mean)))


def encode(model: keras.Model, images: keras.KerasTensor) -> keras.KerasTensor:
    """Latent codes (n, d_z) of images (n, S, S, 1), dropout off (eq. 14)."""
    hidden = keras.ops.reshape(images, (keras.ops.shape(images)[0], -1))
    names = [layer.name for layer in model.layers]
    if "centering" in names:
        hidden = model.get_layer("centering")(hidden)
    encoders = [layer for layer in model.layers if layer.name.endswith("_encoder")]
    codes = [encoder(hidden, training=False) for encoder in encoders]
    return keras.ops.concatenate(codes, axis=-1)


def count_trainable(model: keras.Model) -> int:
    """Number of the weights that training changes."""
    return sum(int(np.prod(variable.shape)) for variable in model.trainable_variables)


def save_model(model: keras.Model, path: Path) -> None:
    """Write a Keras model, whole or not at all.

    Raises
    ------
    DualadError
        If the file cannot be written.
    """
    with replacing(path) as temporary:
        model.save(temporary)


def load_model(path: Path) -> keras.Model:
    """Read a Keras model, also one that an earlier version of this package has saved.

    Raises
    ------
    DualadError
        If the file is missing or damaged.
    """
    # Keras raises anything, and loads no code from a file unless it is told to.
    with reading(path, Exception):
        return keras.saving.load_model(path, compile=False)


def _dense(
    width: int, seed: int, activation: str | None = None, name: str | None = None
) -> layers.Dense:
    initializer = keras.initializers.GlorotUniform(seed=seed)
    return layers.Dense(width, activation=activation, kernel_initializer=initializer, name=name)


def _wide_dense(width: int, seed: int) -> layers.EinsumDense:
    """A dense layer whose kernel lies as (units, inputs), for inputs that need no gradient.

    On a CPU, XLA multiplies a short batch by a wide kernel of this layout in about half of the
    time. A gradient at the inputs would be slower in turn (`docs/performance.md`).
    """
    initializer = keras.initializers.GlorotUniform(seed=seed)
    return layers.EinsumDense("ni,ui->nu", width, bias_axes="u", kernel_initializer=initializer)
