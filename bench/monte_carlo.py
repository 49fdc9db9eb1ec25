"""Monte Carlo dropout: T decoder passes after one encoder pass, against T passes of the model.

    python bench/monte_carlo.py [--images 256] [--samples 100]

Full-size network. Prints both times, their ratio, and how the two sets of statistics compare; the
full passes have dropout in the decoder alone, so that both sample the same distribution.
"""

import argparse
import os
import time

import numpy as np

from dualad.runtime import Runtime, configure_tensorflow

SIZE = 68


def main() -> None:
    """Time both, interleaved three times, and compare mean and variance."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=256)
    parser.add_argument("--samples", type=int, default=100)
    options = parser.parse_args()
    cores = os.cpu_count() or 1
    configure_tensorflow(Runtime(threads=cores, cores=cores))
    import tensorflow as tf

    from dualad.design.parameters import DualAutoencoderParams
    from dualad.network.model import build_dual_autoencoder, dropout_names, set_dropout
    from dualad.network.monte_carlo import MonteCarloSampler
    from dualad.network.scores import ResidualStatistics

    params = DualAutoencoderParams()
    model = build_dual_autoencoder(SIZE, params, seed=1)
    set_dropout(model, [0.2 if n.startswith("decoder") else 0.0 for n in dropout_names(params)])
    images = np.random.default_rng(0).random((options.images, SIZE, SIZE), dtype=np.float32)
    statistics = ResidualStatistics(2.0, *(np.ones((SIZE, SIZE), np.float32) for _ in range(4)))
    sampler = MonteCarloSampler(model, "l2", statistics, options.samples)

    @tf.function(jit_compile=True)
    def full_pass(batch: tf.Tensor) -> tf.Tensor:
        residual = model(batch[..., tf.newaxis], training=True)[..., 0] - batch
        return tf.sqrt(tf.reduce_sum(tf.square(residual), axis=[1, 2]))

    def full() -> tuple[np.ndarray, np.ndarray]:
        batch = tf.constant(images)
        draws = np.stack([np.asarray(full_pass(batch)) for _ in range(options.samples)])
        return draws.mean(axis=0), draws.var(axis=0)

    full_pass(tf.constant(images))
    sampler.mean_and_variance(images)
    times: dict[str, list[float]] = {"decoder": [], "full": []}
    for _ in range(3):
        started = time.perf_counter()
        ours = sampler.mean_and_variance(images)
        times["decoder"].append(time.perf_counter() - started)
        started = time.perf_counter()
        theirs = full()
        times["full"].append(time.perf_counter() - started)
    decoder, whole = min(times["decoder"]), min(times["full"])
    print(
        f"{options.images} images, T = {options.samples}: decoder passes {decoder:.2f} s, full "
        f"passes {whole:.2f} s, ratio {whole / decoder:.2f}"
    )
    error = np.abs(ours[0] - theirs[0]) / np.sqrt(theirs[1] * 2 / options.samples)
    print(
        f"means differ by {error.mean():.2f} standard errors on average (0.80 expected), variances "
        f"by a factor of {np.mean(ours[1]) / np.mean(theirs[1]):.3f}"
    )


if __name__ == "__main__":
    main()
