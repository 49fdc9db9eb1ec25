"""Time of one training step of the full-size network, side by side with alternatives.

    python bench/training_step.py [--batch 35 81 370] [--rounds 7] [--gpu] [--tf32]

Prints, per batch size, milliseconds (median of interleaved rounds) of

- ours: `dualad.network.trainer.NetworkTrainer`;
- plain Keras `fit` of the same architecture with `keras.layers.Dropout` and Adam;
- PyTorch with fused Adam, and on a GPU the same step as a CUDA graph, if PyTorch is installed (it
  is no dependency of the project);
- on a CPU the bare matrix products of a step in NumPy, without activations, dropout and optimiser:
  what a tuned library makes of these shapes;
- the floor: 6 x parameters x batch floating-point operations at the rate of a large float32 matrix
  product, plus parameter, gradient and Adam-moment traffic (8 passes over the parameters) at the
  rate of a large copy. Both rates are those of the fastest library at hand: NumPy, TensorFlow, and
  PyTorch if there is one.

Ours and Keras's are means over an epoch of ten steps, 50 on a GPU. Every contestant and every
library that is measured for the floor runs in a process of its own; these take turns, so that a
busy neighbour slows all of them alike. NumPy's runs without OPENBLAS_CORETYPE, which some
environments set to kernels of older processors.
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
from typing import Any

import numpy as np

SIZE = 68
N_PARAMETERS = 36_814_352
RATE = 0.2
PASSES = 8
EPOCH = {False: 10, True: 50}
"""Steps per epoch of ours and of Keras `fit`, on a CPU and on a GPU."""
PRODUCT, COPY = (4096, 4096), 5 * 10**7
"""Shape of the factors, and number of float32 values copied, by which the floor is measured."""
GPU = TF32 = False
"""Set by the command line."""


def start_tensorflow() -> None:
    """As a job of the workflow does; on all cores, or on the GPU."""
    from dualad.runtime import Runtime, configure_tensorflow

    cores = os.cpu_count() or 1
    device = configure_tensorflow(Runtime(cores, cores, gpu=int(GPU), tf32=TF32))
    if GPU and device != "GPU":
        raise ImportError("no GPU that TensorFlow can use")


def ours(batch: int) -> Callable[[], None]:
    """The project's compiled step."""
    start_tensorflow()
    from dualad.design.parameters import DualAutoencoderParams
    from dualad.network.model import build_dual_autoencoder, set_dropout
    from dualad.network.trainer import NetworkTrainer

    model = build_dual_autoencoder(SIZE, DualAutoencoderParams(), seed=1)
    set_dropout(model, [RATE] * 9)
    images = np.random.default_rng(0).random((EPOCH[GPU] * batch, SIZE, SIZE), dtype=np.float32)
    trainer = NetworkTrainer(model, images, batch, 3e-4)
    order, rng = np.arange(len(images)), np.random.default_rng(0)
    return lambda: (trainer.train_epoch(order, rng), None)[1]


def keras_fit(batch: int) -> Callable[[], None]:
    """`Model.fit` as a user of Keras would write it."""
    start_tensorflow()
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
    images = np.random.default_rng(0).random((EPOCH[GPU] * batch, SIZE, SIZE, 1), dtype=np.float32)
    return lambda: (model.fit(images, images, batch_size=batch, verbose=0), None)[1]


def pytorch(batch: int) -> Callable[[], None]:
    """The same network and loss in PyTorch, eager, fused Adam."""
    import torch

    step = pytorch_step(batch)
    wait = torch.cuda.synchronize if GPU else lambda: None
    return lambda: (step(), wait(), None)[2]


def pytorch_graph(batch: int) -> Callable[[], None]:
    """The step of `pytorch` recorded once as a CUDA graph and replayed."""
    import torch

    if not GPU:
        raise ImportError("a CUDA graph needs a GPU")
    step = pytorch_step(batch, capturable=True)
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            step()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()
    return lambda: (graph.replay(), torch.cuda.synchronize(), None)[2]


def pytorch_step(batch: int, capturable: bool = False) -> Callable[[], None]:
    """A step that does not wait for the device."""
    import torch
    from torch import nn

    if GPU and not torch.cuda.is_available():
        raise ImportError("no GPU that PyTorch can use")
    torch.set_num_threads(os.cpu_count() or 1)
    torch.backends.cuda.matmul.allow_tf32 = TF32

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
    network = nn.ModuleList([*encoders, decoder]).to("cuda" if GPU else "cpu")
    parameters = list(network.parameters())
    optimizer = torch.optim.Adam(parameters, 3e-4, fused=True, capturable=capturable)
    images = torch.rand(batch, d, device=parameters[0].device)

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        output = decoder(torch.cat([encoder(images) for encoder in encoders], 1))
        loss = (torch.log1p(images) - torch.log1p(output)).square().mean()
        loss.backward()
        optimizer.step()

    return step


def bare_products(batch: int) -> Callable[[], None]:
    """Every product of inputs, gradients and kernels of a step; images need no gradient."""
    if GPU:
        raise ImportError("NumPy runs on CPUs")
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


def numpy_rates(_: int) -> Callable[[], tuple[float, float]]:
    """Seconds of a large product and of a large copy in NumPy."""
    if GPU:
        raise ImportError("NumPy runs on CPUs")
    a, b = (np.random.default_rng(i).random(PRODUCT, dtype=np.float32) for i in range(2))
    source, target = np.ones(COPY, np.float32), np.zeros(COPY, np.float32)
    return lambda: rates(lambda: a @ b, lambda: np.copyto(target, source), lambda _: None)


def tensorflow_rates(_: int) -> Callable[[], tuple[float, float]]:
    """The same in TensorFlow, with an addition for the copy."""
    start_tensorflow()
    import tensorflow as tf

    a, b = (tf.random.uniform(PRODUCT, seed=i) for i in range(2))
    source = tf.ones(COPY)
    # TensorFlow does not wait for a GPU before it has to read a number back.
    return lambda: rates(
        lambda: a @ b, lambda: source + 1, lambda found: float(tf.reshape(found, [-1])[0])
    )


def pytorch_rates(_: int) -> Callable[[], tuple[float, float]]:
    """The same in PyTorch."""
    import torch

    if GPU and not torch.cuda.is_available():
        raise ImportError("no GPU that PyTorch can use")
    torch.set_num_threads(os.cpu_count() or 1)
    torch.backends.cuda.matmul.allow_tf32 = TF32
    device = "cuda" if GPU else "cpu"
    a, b = (torch.rand(PRODUCT, device=device) for _ in range(2))
    source, target = torch.ones(COPY, device=device), torch.zeros(COPY, device=device)

    def wait(_: object) -> None:
        if GPU:
            torch.cuda.synchronize()

    return lambda: rates(lambda: a @ b, lambda: target.copy_(source), wait)


def rates(
    product: Callable[[], object], copy: Callable[[], object], wait: Callable[[object], object]
) -> tuple[float, float]:
    """Mean seconds of a product and of a copy; `wait` returns when its argument is computed."""

    def several(function: Callable[[], object], times: int) -> float:
        started = time.perf_counter()
        for _ in range(times):
            found = function()
        wait(found)
        return (time.perf_counter() - started) / times

    return several(product, 20 if GPU else 1), several(copy, 20 if GPU else 5)


CONTESTANTS: dict[str, tuple[Callable[[int], Callable[[], None]], bool]] = {
    "ours": (ours, True),
    "Keras fit": (keras_fit, True),
    "PyTorch eager": (pytorch, False),
    "PyTorch CUDA graph": (pytorch_graph, False),
    "bare products": (bare_products, False),
}
"""What is compared, and whether one call is an epoch or a step."""

RATES: dict[str, Callable[[int], Callable[[], tuple[float, float]]]] = {
    "NumPy": numpy_rates,
    "TensorFlow": tensorflow_rates,
    "PyTorch": pytorch_rates,
}
"""Libraries whose products and copies are measured for the floor."""


def serve(name: str, batch: int) -> None:
    """A process: a list of numbers for every line on stdin.

    For a contestant, milliseconds a step; for a library, seconds of a product and of a copy.
    """
    try:
        if name in RATES:
            take = RATES[name](batch)
            take()
            measure = lambda _: take()  # noqa: E731
        else:
            build, is_epoch = CONTESTANTS[name]
            steps = EPOCH[GPU] if is_epoch else 1
            run = build(batch)
            run()
            run()
            measure = lambda repeats: (1e3 * seconds(run, repeats) / steps,)  # noqa: E731
    except ImportError as error:
        print(json.dumps(str(error)), flush=True)
        return
    print(json.dumps(None), flush=True)
    for line in sys.stdin:
        print(json.dumps(measure(int(line))), flush=True)


class Server:
    """A process that measures when asked; `problem` says why it cannot, and is None if it can."""

    def __init__(self, name: str, batch: int) -> None:
        environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
        environment.pop("OPENBLAS_CORETYPE", None)
        command = [sys.executable, __file__, "--serve", name, str(batch)]
        command += ["--gpu"] * GPU + ["--tf32"] * TF32
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=environment,
        )
        self.problem = self._answer()

    def measure(self, repeats: int) -> list[float]:
        """Ask for a measurement."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{repeats}\n")
        self._process.stdin.flush()
        return list(self._answer())

    def stop(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()

    def _answer(self) -> Any:
        assert self._process.stdout is not None
        return json.loads(self._process.stdout.readline() or '"its process ended"')


def seconds(function: Callable[[], object], repeats: int) -> float:
    """Mean time of a call."""
    started = time.perf_counter()
    for _ in range(repeats):
        function()
    return (time.perf_counter() - started) / repeats


def main() -> None:
    """Print a line per batch size."""
    global GPU, TF32
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, nargs="+", default=[35, 81, 370])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--gpu", action="store_true")
    parser.add_argument("--tf32", action="store_true", help="let all round factors to TF32")
    parser.add_argument("--serve", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    GPU, TF32 = options.gpu, options.tf32
    if options.serve:
        serve(options.serve[0], int(options.serve[1]))
        return
    for batch in options.batch:
        compare(batch, options.rounds)


def compare(batch: int, rounds: int) -> None:
    """Measure everything in turns at one batch size, and print it."""
    servers = {name: Server(name, batch) for name in (*RATES, *CONTESTANTS)}
    found: dict[str, list[list[float]]] = {}
    for name, server in servers.items():
        if server.problem is None:
            found[name] = []
        elif name in CONTESTANTS:
            print(f"{name}: left out ({server.problem})")
    for _ in range(rounds):
        for name, values in found.items():
            is_step = name in CONTESTANTS and not CONTESTANTS[name][1]
            values.append(servers[name].measure(10 if is_step else 1))
    for server in servers.values():
        server.stop()
    medians = {
        name: [statistics.median(column) for column in zip(*values, strict=True)]
        for name, values in found.items()
    }
    product, copy = ({name: medians[name][i] for name in RATES if name in medians} for i in (0, 1))
    fastest, quickest = min(product, key=product.__getitem__), min(copy, key=copy.__getitem__)
    flops = 2 * PRODUCT[0] ** 3 / product[fastest]
    bandwidth = 2 * 4 * COPY / copy[quickest]
    floor = 1e3 * (6 * N_PARAMETERS * batch / flops + PASSES * 4 * N_PARAMETERS / bandwidth)
    (mine,) = medians["ours"]
    columns = [
        f"batch {batch:4d}",
        f"large product {flops / 1e9:.0f} GFLOP/s ({fastest})",
        f"large copy {bandwidth / 1e9:.1f} GB/s ({quickest})",
        f"floor {floor:.1f} ms (ours / floor {mine / floor:.2f})",
    ]
    for name in CONTESTANTS:
        if name in medians:
            columns.append(
                f"{name} {medians[name][0]:.1f} ms ({medians[name][0] / mine:.2f} x ours)"
            )
    print("; ".join(columns), flush=True)


if __name__ == "__main__":
    main()
