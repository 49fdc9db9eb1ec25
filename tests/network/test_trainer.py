"""Losses, Adam and one network's training against Keras and the equations."""

import os
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf
from development import development_split

import dualad.network.device
from dualad.design.parameters import DualAutoencoderParams
from dualad.errors import DualadError
from dualad.network.model import build_dual_autoencoder
from dualad.network.trainer import (
    Adam,
    DevelopmentPool,
    NetworkTrainer,
    mean_image_loss,
    msle,
)

SIZE = 6
PARAMS = DualAutoencoderParams(encoder_widths=(6, 4), decoder_widths=(5,))
IMAGES = np.random.default_rng(0).uniform(0.2, 0.9, (24, SIZE, SIZE)).astype(np.float32)


def test_msle_is_kerass() -> None:
    images = IMAGES
    found = msle(images[:5, ..., np.newaxis], images[5:10, ..., np.newaxis])
    expected = keras.losses.MeanSquaredLogarithmicError(reduction=None)(
        images[:5].reshape(5, -1), images[5:10].reshape(5, -1)
    )
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_the_mean_images_loss_is_that_of_predicting_it() -> None:
    images = IMAGES
    mean = images.mean(axis=0)
    prediction = np.broadcast_to(mean, images.shape)[..., np.newaxis]
    expected = np.mean(msle(images[..., np.newaxis], prediction))
    assert mean_image_loss(images, mean) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("compiled", [False, True])
def test_adam_steps_as_kerass_adam(compiled: bool) -> None:
    rng = np.random.default_rng(0)
    start = [rng.normal(size=shape).astype(np.float32) for shape in ((3, 2), (2,))]
    weights = [[keras.Variable(w) for w in start] for _ in range(2)]
    ours = Adam(weights[0], 1e-2)
    apply = tf.function(ours.apply, jit_compile=compiled)
    theirs = keras.optimizers.Adam(1e-2)
    for _ in range(5):
        gradients = [tf.constant(rng.normal(size=w.shape).astype(np.float32)) for w in start]
        apply(gradients)
        theirs.apply_gradients(zip(gradients, weights[1], strict=True))
    for a, b in zip(*weights, strict=True):
        np.testing.assert_allclose(a.value.numpy(), b.value.numpy(), rtol=1e-5)


def test_an_incomplete_batch_counts_only_its_images() -> None:
    images = IMAGES
    model = build_dual_autoencoder(SIZE, PARAMS, seed=1)
    trainer = NetworkTrainer(model, images, batch_size=6, learning_rate=0.0)
    loss, gradient = trainer.train_epoch(np.arange(8), np.random.default_rng(0))
    assert loss == pytest.approx(trainer.evaluate(np.arange(8))[0].mean(), rel=1e-5)
    assert gradient > 0


def test_an_epoch_as_one_program_is_that_of_single_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a GPU runs, on the CPU: three epochs of four steps with dropout, one step filled up."""
    states = []
    for memory in (None, 2**30):
        monkeypatch.setattr(dualad.network.device, "_memory_limit", lambda found=memory: found)
        model = build_dual_autoencoder(SIZE, PARAMS, seed=1)
        trainer = NetworkTrainer(model, IMAGES, batch_size=6, learning_rate=1e-2)
        trainer.reset([0.2] * 3)
        results = [
            trainer.train_epoch(np.arange(20), np.random.default_rng(epoch)) for epoch in range(3)
        ]
        states.append([*trainer.state(), np.array(results)])
    for one, other in zip(*states, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-5)


def test_evaluation_is_eqs_22_and_30() -> None:
    images = IMAGES
    model = build_dual_autoencoder(SIZE, PARAMS, seed=1)
    trainer = NetworkTrainer(model, images, batch_size=6, learning_rate=0.0)
    losses, errors = trainer.evaluate(np.array([3, 1]))
    chosen = images[[3, 1]]
    outputs = np.asarray(model(chosen[..., np.newaxis]))[..., 0]
    np.testing.assert_allclose(
        errors, np.linalg.norm((outputs - chosen).reshape(2, -1), axis=1), rtol=1e-5
    )
    np.testing.assert_allclose(
        losses, np.square(np.log1p(outputs) - np.log1p(chosen)).mean(axis=(1, 2)), rtol=1e-4
    )


def test_positions_are_those_of_the_pool() -> None:
    indices = np.array([2, 3, 7, 11])
    pool = DevelopmentPool(indices, IMAGES[:4], np.zeros(4, np.int8))
    positions = pool.positions(np.array([11, 2, 7]))
    np.testing.assert_array_equal(positions, [3, 0, 2])


def test_a_reset_optimiser_steps_as_a_new_one() -> None:
    weights = [keras.Variable(np.zeros(3, np.float32)) for _ in range(2)]
    used, new = (Adam([weight], 1e-2) for weight in weights)
    for gradient in ([1.0, -2.0, 3.0], [5.0, 1.0, 0.1]):
        used.apply([tf.constant(gradient)])
    used.reset()
    weights[0].assign(np.zeros(3))
    for optimizer in (used, new):
        optimizer.apply([tf.constant([0.5, -0.1, 2.0])])
    np.testing.assert_array_equal(weights[0].value.numpy(), weights[1].value.numpy())


def test_a_pool_that_no_memory_holds_is_refused_with_the_remedy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = build_dual_autoencoder(SIZE, PARAMS, seed=1)
    monkeypatch.setattr(dualad.network.device, "_memory_limit", lambda: 2**20)
    NetworkTrainer(model, IMAGES, batch_size=6, learning_rate=0.0)
    many = np.broadcast_to(IMAGES[:1], (10_000, SIZE, SIZE))
    with pytest.raises(
        DualadError, match=r"on 10000 images needs 1 MiB .* compute.gpu_memory_mb allows 1: raise"
    ):
        NetworkTrainer(model, many, batch_size=6, learning_rate=0.0)

    monkeypatch.setattr(os, "sysconf", lambda _: 8)
    split = development_split(6, 2)
    dataset = SimpleNamespace(name="zipper", image_size=SIZE)
    with pytest.raises(DualadError, match=r"zipper: training on 8 images .* lower image_size"):
        DevelopmentPool.read(dataset, split)  # type: ignore[arg-type]
