"""The network: the paper's sizes, dropout with adjustable rates, centring, saving."""

from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from dualad.design.parameters import DualAutoencoderParams
from dualad.network.model import (
    AdjustableDropout,
    build_dual_autoencoder,
    centre,
    dropout_layers,
    encode,
    set_dropout,
)

SMALL = DualAutoencoderParams(encoder_widths=(8, 6, 4), decoder_widths=(5, 7))


def images(n: int = 4, size: int = 9) -> np.ndarray:
    return np.random.default_rng(0).random((n, size, size, 1), dtype=np.float32)


def test_the_papers_network_has_the_papers_parameters() -> None:
    model = build_dual_autoencoder(68, DualAutoencoderParams(), seed=0)
    assert sum(int(np.prod(v.shape)) for v in model.trainable_variables) == 36_814_352
    encoder = model.get_layer("image_encoder")
    widths = [layer.output.shape[-1] for layer in encoder.layers if "dense" in layer.name]
    assert widths == [2048, 1024, 512, 256]
    assert len(dropout_layers(model)) == 9
    assert DualAutoencoderParams().dropout_names[::4] == ("image_0", "pixel_1", "decoder_2")


@pytest.mark.parametrize("encoders", [("image",), ("pixel",), ("image", "pixel")])
def test_reconstructions_have_the_images_shape_and_range(encoders: tuple[str, ...]) -> None:
    params = DualAutoencoderParams(
        encoders=encoders,
        encoder_widths=(8, 4),
        decoder_widths=(5,),  # type: ignore[arg-type]
    )
    output = np.asarray(build_dual_autoencoder(9, params, seed=1)(images()))
    assert output.shape == (4, 9, 9, 1)
    assert output.min() >= 0 and output.max() <= 1


def test_the_seed_decides_the_initial_weights() -> None:
    first, same, other = (build_dual_autoencoder(9, SMALL, seed) for seed in (3, 3, 4))
    for a, b in zip(first.get_weights(), same.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert not np.array_equal(first.get_weights()[0], other.get_weights()[0])


def test_the_two_encoders_start_differently() -> None:
    model = build_dual_autoencoder(9, SMALL, seed=3)
    image, pixel = (model.get_layer(f"{name}_encoder").get_weights() for name in ("image", "pixel"))
    assert not np.array_equal(image[0], pixel[0])


def test_dropout_drops_the_set_fraction_and_keeps_the_mean() -> None:
    model = build_dual_autoencoder(9, SMALL, seed=3)
    set_dropout(model, [0.3] * 6)
    layer = dropout_layers(model)[0]
    output = np.asarray(layer(np.ones((400, 250), np.float32), training=True))
    assert np.mean(output == 0) == pytest.approx(0.3, abs=0.005)
    assert output.max() == pytest.approx(1 / 0.7)
    np.testing.assert_array_equal(layer(output, training=False), output)


def test_units_are_dropped_independently() -> None:
    model = build_dual_autoencoder(9, SMALL, seed=3)
    set_dropout(model, [0.3] * 6)
    output = dropout_layers(model)[0](np.ones((5000, 13), np.float32), training=True)
    dropped = np.asarray(output) == 0
    np.testing.assert_allclose(dropped.mean(axis=0), 0.3, atol=0.03)
    np.testing.assert_allclose(np.corrcoef(dropped.T), np.eye(13), atol=0.06)
    assert abs(np.corrcoef(dropped[1:, 0], dropped[:-1, 0])[0, 1]) < 0.06


def test_dropout_layers_have_streams_of_their_own() -> None:
    model = build_dual_autoencoder(9, SMALL, seed=3)
    set_dropout(model, [0.5] * 6)
    ones = np.ones((50, 50), np.float32)
    first, second = (np.asarray(layer(ones, training=True)) for layer in dropout_layers(model)[:2])
    assert not np.array_equal(first, second)


@pytest.mark.parametrize("compiled", [False, True])
def test_dropout_draws_what_tensorflow_draws_for_the_same_seed(compiled: bool) -> None:
    layer = AdjustableDropout(0.3, seed=5)
    draw = tf.function(lambda x: layer(x, training=True), jit_compile=compiled, autograph=False)
    for _ in range(2):
        seed = layer.seed_generator.state.numpy().astype(np.int32)
        words = tf.random.stateless_uniform((6, 4), seed, None, None, tf.uint64, alg="philox")
        # Four units share a number, its lowest bits first.
        draws = words.numpy().view(np.uint16)[:, :13]
        dropped = draw(np.ones((6, 13), np.float32)).numpy() == 0
        assert np.array_equal(dropped, draws < 0.3 * 2**16)


def test_a_centred_network_starts_at_the_mean_image() -> None:
    params = DualAutoencoderParams(centering=True, encoder_widths=(8, 4), decoder_widths=(5,))
    model = build_dual_autoencoder(9, params, seed=3)
    mean = np.random.default_rng(1).uniform(0.1, 0.9, (9, 9)).astype(np.float32)
    centre(model, mean)
    # The centred input of the mean image is zero, and so is everything up to the output's bias.
    np.testing.assert_allclose(
        np.asarray(model(mean[np.newaxis, ..., np.newaxis]))[0, ..., 0], mean, atol=1e-6
    )


def test_centring_adds_no_trainable_parameter() -> None:
    centred = build_dual_autoencoder(9, DualAutoencoderParams(centering=True), seed=0)
    plain = build_dual_autoencoder(9, DualAutoencoderParams(), seed=0)
    count = [sum(int(np.prod(v.shape)) for v in m.trainable_variables) for m in (centred, plain)]
    assert count[0] == count[1]


@pytest.mark.parametrize("centering", [False, True])
def test_encoding_and_decoding_is_the_model(centering: bool) -> None:
    params = DualAutoencoderParams(centering=centering, encoder_widths=(8, 4), decoder_widths=(5,))
    model = build_dual_autoencoder(9, params, seed=3)
    if centering:
        centre(model, images()[0, ..., 0])
    pixels = np.asarray(model.get_layer("decoder")(encode(model, images())))
    np.testing.assert_array_equal(pixels.reshape(4, 9, 9, 1), model(images()))


def test_a_saved_model_is_the_same_and_restarts_its_dropout(tmp_path: Path) -> None:
    model = build_dual_autoencoder(9, SMALL, seed=3)
    set_dropout(model, [0.1, 0.2, 0.3, 0.4, 0.5, 0.25])
    model.save(tmp_path / "model.keras")
    loaded = [keras.saving.load_model(tmp_path / "model.keras") for _ in range(2)]
    np.testing.assert_array_equal(loaded[0](images()), model(images()))
    rates = [float(layer.rate) for layer in dropout_layers(loaded[0])]
    assert rates == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.5, 0.25])
    draws = [np.asarray(m(images(), training=True)) for m in loaded]
    np.testing.assert_array_equal(draws[0], draws[1])
    assert not np.array_equal(draws[0], np.asarray(loaded[0](images(), training=True)))
