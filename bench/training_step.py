"""Time of one training step of the full-size network, side by side with alternatives.

    python bench/training_step.py [--batch 35 81 370] [--rounds 7]

Prints, per batch size, milliseconds (median of interleaved rounds) of

- ours: `dualad.network.trainer.NetworkTrainer`;
- plain Keras `fit` of the same architecture with `keras.layers.Dropout` and Adam;
- PyTorch with fused Adam, if PyTorch is installed (it is no dependency of the project);
- the bare matrix products of a step in NumPy, without activations, dropout and optimiser: what a
  tuned library makes of these shapes;
- the floor: 6 x parameters x batch floating-point operations at the rate of a large float32 matrix
  product, plus parameter, gradient and Adam-moment traffic (8 passes over the parameters) at the
  rate of a large copy. Both rates are measured here, with PyTorch or NumPy, whichever is faster.

Ours and Keras's are means over an epoch of ten steps. Each contestant runs in a process of its own;
the processes and the measurements for the floor take turns, so that a busy neighbour slows all of
them alike.
"""

import argparse
import itertools
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import numpy as np

SIZE = 68
N_PARAMETERS = 36_814_352
RATE = 0.2
PASSES = 8
EPOCH = 10
"""Steps per epoch of ours and of Keras `fit`."""


def ours(batch: int) -> Callable[[], None]:
    """The project's compiled step."""
    from dualad.runtime import Runtime, configure_tensorflow

    configure_tensorflow(Runtime(threads=os.cpu_count() or 1, cores=os.cpu_count() or 1))
    from dualad.design.parameters import DualAutoencoderParams
    from dualad.network.model import build_dual_autoencoder, set_dropout
    from dualad.network.trainer import NetworkTrainer

    model = build_dual_autoencoder(SIZE, DualAutoencoderParams(), seed=1)
    set_dropout(model, [RATE] * 9)
    images = np.random.default_rng(0).random((EPOCH * batch, SIZE, SIZE), dtype=np.float32)
    trainer = NetworkTrainer(model, images, batch, 3e-4)
    order, rng = np.arange(len(images)), np.random.default_rng(0)
    return lambda: (trainer.train_epoch(order, rng), None)[1]


def keras_fit(batch: int) -> Callable[[], None]:
    """`Model.fit` as a user of Keras would write it."""
    import keras
    from keras import layers

    keras.utils.set_random_seed(1)

    def block(hidden: keras.KerasTensor, width: int, drop: bool = True) -> keras.KerasTensor:
        hidden = layers.LeakyReLU(0.3)(layers.Dense(width)(hidden))
        return layers.Dropout(RATE)(hidden) if drop else hidden

    image = keras.Input((SIZE, SIZE, 1))
    codes = []
    for _ in range(2):
        hidden = layers.Flatten()(image)
        for width in (2048, 1024, 512):
            hidden = block(hidden, width)
        codes.append(block(hidden, 256, drop=False))
    hidden = layers.Concatenate()(codes)
    for width in (512, 1024, 2048):
        hidden = block(hidden, width)
    output = layers.Reshape((SIZE, SIZE, 1))(layers.Dense(SIZE * SIZE, "sigmoid")(hidden))
    model = keras.Model(image, output)
    model.compile("adam", "mean_squared_logarithmic_error", jit_compile=False)
    images = np.random.default_rng(0).random((EPOCH * batch, SIZE, SIZE, 1), dtype=np.float32)
    return lambda: (model.fit(images, images, batch_size=batch, verbose=0), None)[1]


def pytorch(batch: int) -> Callable[[], None]:
    """The same network and loss in PyTorch, eager, fused Adam."""
    import torch
    from torch import nn

    torch.set_num_threads(os.cpu_count() or 1)

    def blocks(widths: list[int], last_drop: bool) -> list[nn.Module]:
        modules: list[nn.Module] = []
        for i, (before, after) in enumerate(itertools.pairwise(widths)):
            modules += [nn.Linear(before, after), nn.LeakyReLU(0.3)]
            if last_drop or i < len(widths) - 2:
                modules.append(nn.Dropout(RATE))
        return modules

    d = SIZE * SIZE
    encoders = nn.ModuleList(
        nn.Sequential(*blocks([d, 2048, 1024, 512, 256], False)) for _ in range(2)
    )
    decoder = nn.Sequential(*blocks([512, 512, 1024, 2048], True), nn.Linear(2048, d), nn.Sigmoid())
    parameters = [*encoders.parameters(), *decoder.parameters()]
    optimizer = torch.optim.Adam(parameters, 3e-4, fused=True)
    images = torch.rand(batch, d)

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        output = decoder(torch.cat([encoder(images) for encoder in encoders], 1))
        loss = (torch.log1p(images) - torch.log1p(output)).square().mean()
        loss.backward()
        optimizer.step()
        loss.item()

    return step


def bare_products(batch: int) -> Callable[[], None]:
    """Every product of inputs, gradients and kernels of a step; images need no gradient."""
    encoder, decoder = [SIZE * SIZE, 2048, 1024, 512, 256], [512, 512, 1024, 2048, SIZE * SIZE]
    shapes = [*itertools.pairwise(encoder)] * 2 + [*itertools.pairwise(decoder)]
    rng = np.random.default_rng(0)

    def draw(rows: int, columns: int) -> np.ndarray:
        return rng.random((rows, columns), dtype=np.float32)

    layers = [
        (draw(batch, k), draw(k, n), draw(batch, n), np.empty((k, n), "f")) for k, n in shapes
    ]

    def step() -> None:
        for inputs, kernel, gradient, kernel_gradient in layers:
            inputs @ kernel
            np.matmul(inputs.T, gradient, out=kernel_gradient)
            if inputs.shape[1] != SIZE * SIZE:
                gradient @ kernel.T

    return step


CONTESTANTS: dict[str, tuple[Callable[[int], Callable[[], None]], int]] = {
    "ours": (ours, EPOCH),
    "Keras fit": (keras_fit, EPOCH),
    "PyTorch": (pytorch, 1),
    "bare products": (bare_products, 1),
}


def serve(name: str, batch: int) -> None:
    """A contestant's process: one timing, in milliseconds a step, for every line on stdin."""
    build, steps = CONTESTANTS[name]
    try:
        run = build(batch)
    except ImportError as error:
        print(json.dumps(str(error)), flush=True)
        return
    run()
    run()
    print(json.dumps(None), flush=True)
    for line in sys.stdin:
        print(1e3 * seconds(run, int(line)) / steps, flush=True)


class Machine:
    """Measures this machine's rate at a large float32 matrix product and at a large copy."""

    def __init__(self) -> None:
        a, b = (np.random.default_rng(i).random((4096, 4096), dtype=np.float32) for i in range(2))
        source, target = np.ones(5 * 10**7, np.float32), np.zeros(5 * 10**7, np.float32)
        self._flops, self._bytes = 2 * 4096**3, 2 * source.nbytes
        self._products: list[Callable[[], object]] = [lambda: a @ b]
        self._copies: list[Callable[[], object]] = [lambda: np.copyto(target, source)]
        try:
            import torch

            ta, tb, ts, tt = (torch.from_numpy(x) for x in (a, b, source, target))
            self._products.append(lambda: ta @ tb)
            self._copies.append(lambda: tt.copy_(ts))
        except ImportError:
            pass
        self.rates()

    def rates(self) -> tuple[float, float]:
        """Floating-point operations and bytes per second, now."""
        return (
            self._flops / min(seconds(f, 1) for f in self._products),
            self._bytes / min(seconds(f, 5) for f in self._copies),
        )


def seconds(function: Callable[[], object], repeats: int) -> float:
    """Mean time of a call."""
    started = time.perf_counter()
    for _ in range(repeats):
        function()
    return (time.perf_counter() - started) / repeats


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, nargs="+", default=[35, 81, 370])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--serve", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(options.serve[0], int(options.serve[1]))
        return
    machine = Machine()
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    for batch in options.batch:
        servers = {
            name: subprocess.Popen(
                [sys.executable, __file__, "--serve", name, str(batch)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                env=environment,
            )
            for name in CONTESTANTS
        }
        times: dict[str, list[float]] = {}
        for name, server in servers.items():
            assert server.stdout is not None
            problem = json.loads(server.stdout.readline())
            if problem is None:
                times[name] = []
            else:
                print(f"{name}: left out ({problem})")
        rates = []
        for _ in range(options.rounds):
            rates.append(machine.rates())
            for name, values in times.items():
                server = servers[name]
                assert server.stdin is not None and server.stdout is not None
                server.stdin.write("1\n" if CONTESTANTS[name][1] > 1 else "10\n")
                server.stdin.flush()
                values.append(float(server.stdout.readline()))
        for server in servers.values():
            server.kill()
            server.wait()
        flops, bandwidth = (statistics.median(column) for column in zip(*rates, strict=True))
        floor = 1e3 * (6 * N_PARAMETERS * batch / flops + PASSES * 4 * N_PARAMETERS / bandwidth)
        mine = statistics.median(times["ours"])
        columns = [
            f"batch {batch:4d}",
            f"large product {flops / 1e9:.0f} GFLOP/s, large copy {bandwidth / 1e9:.1f} GB/s",
            f"floor {floor:6.0f} ms (ours / floor {mine / floor:.2f})",
        ]
        for name, values in times.items():
            middle = statistics.median(values)
            columns.append(f"{name} {middle:6.0f} ms ({middle / mine:.2f} x ours)")
        print("; ".join(columns), flush=True)


if __name__ == "__main__":
    main()
