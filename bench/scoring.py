"""Scoring with Monte Carlo dropout: what it takes, and what the parts of it take.

    python bench/scoring.py [--images 512] [--samples 100] [--gpu] [--tf32]

Full-size network. Prints seconds of `DualAutoencoder.score`, of its first call, which compiles,
and of the same without samples; of the saliency of the seven images that are drawn; and, for 256
images, T decoder passes after one encoder pass against T passes of the whole network: both times,
their ratio, and how the two sets of statistics compare. The full passes have dropout in the decoder
alone, so that both sample the same distribution.
"""

import argparse
import os
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from dualad.runtime import Runtime, configure_tensorflow

SIZE, DRAWN, COMPARED = 68, 7, 256


def seconds(function: Callable[[], object]) -> float:
    """Time of a call."""
    started = time.perf_counter()
    function()
    return time.perf_counter() - started


def main() -> None:
    """Score, then compare the two ways to sample in turns."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=512)
    parser.add_argument("--samples", type=int, default=100)
    parser.add_argument("--gpu", action="store_true")
    parser.add_argument("--tf32", action="store_true")
    options = parser.parse_args()
    cores = os.cpu_count() or 1
    device = configure_tensorflow(Runtime(cores, cores, gpu=int(options.gpu), tf32=options.tf32))
    import tensorflow as tf

    from dualad.design.parameters import DualAutoencoderParams, MonteCarloParams
    from dualad.methods.dual_autoencoder import DualAutoencoder
    from dualad.network.model import build_dual_autoencoder, set_dropout
    from dualad.network.monte_carlo import MonteCarloSampler
    from dualad.network.scores import ResidualStatistics

    params = DualAutoencoderParams(mc=MonteCarloParams(samples=options.samples), score="l2")
    model = build_dual_autoencoder(SIZE, params, seed=1)
    rates = [0.2 if n.startswith("decoder") else 0.0 for n in params.dropout_names]
    set_dropout(model, rates)
    images = np.random.default_rng(0).random((options.images, SIZE, SIZE), dtype=np.float32)
    statistics = ResidualStatistics(2.0, *(np.ones((SIZE, SIZE), np.float32) for _ in range(4)))

    times = {}
    for samples in (options.samples, 0):
        detector = DualAutoencoder(replace(params, mc=MonteCarloParams(samples=samples)))
        detector.model_, detector.statistics_ = model, statistics
        first = seconds(lambda found=detector: found.score(images))
        times[samples] = first, min(seconds(lambda d=detector: d.score(images)) for _ in range(3))
    detector.saliency(images[:DRAWN])
    drawn = min(seconds(lambda: detector.saliency(images[:DRAWN])) for _ in range(3))
    (first, whole), (_, plain) = times[options.samples], times[0]
    print(
        f"{device}: {options.images} images, T = {options.samples}: {whole:.2f} s (first call "
        f"{first:.2f} s); without samples {plain:.2f} s; saliency of {DRAWN} images {drawn:.3f} s"
    )

    few = images[:COMPARED]
    sampler = MonteCarloSampler(model, "l2", statistics, options.samples)

    @tf.function(jit_compile=True, autograph=False)
    def full_pass(batch: tf.Tensor) -> tf.Tensor:
        residual = model(batch[..., tf.newaxis], training=True)[..., 0] - batch
        return tf.sqrt(tf.reduce_sum(tf.square(residual), axis=[1, 2]))

    def full() -> tuple[np.ndarray, np.ndarray]:
        batch = tf.constant(few)
        draws = np.stack([np.asarray(full_pass(batch)) for _ in range(options.samples)])
        return draws.mean(axis=0), draws.var(axis=0)

    def decoder() -> tuple[np.ndarray, np.ndarray]:
        return sampler.mean_and_variance(few)

    theirs, ours = full(), decoder()
    pairs = [(seconds(decoder), seconds(full)) for _ in range(3)]
    short, long = (min(column) for column in zip(*pairs, strict=True))
    print(
        f"{len(few)} images, T = {options.samples}: decoder passes {short:.2f} s, full passes "
        f"{long:.2f} s, ratio {long / short:.2f}"
    )
    error = np.abs(ours[0] - theirs[0]) / np.sqrt(theirs[1] * 2 / options.samples)
    print(
        f"means differ by {error.mean():.2f} standard errors on average (0.80 expected), variances "
        f"by a factor of {np.mean(ours[1]) / np.mean(theirs[1]):.3f}"
    )


if __name__ == "__main__":
    main()
