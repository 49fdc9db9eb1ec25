"""How much of a training job is training: epochs / job, and where the rest goes.

    python bench/training_job.py [--images 600] [--epochs 60] [--small] [--gpu] [--tf32]

Trains the dual autoencoder (with --small, the default configuration's) on made images in a process
of its own, and prints the seconds of the job, of its epochs (steps and validation, compiling left
out), of compiling, of checkpoints, and their ratios.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
from experiments import (
    SMALL,
    dual,
    experiment_files,
    make_experiment,
    report,
    run_child,
)

from dualad.methods.jobs import Job, run_fit
from dualad.runtime import Runtime, configure_tensorflow


def train(folder: Path, options: argparse.Namespace) -> None:
    """The job: what `run_fit` does, with the time that checkpoints take."""
    runtime = Runtime(options.threads, options.threads, gpu=int(options.gpu), tf32=options.tf32)
    device = configure_tensorflow(runtime)
    from dualad.network.checkpoint import Pace

    checkpoints: list[float] = []
    writing = Pace.writing

    @contextmanager
    def timed(self: Pace) -> Iterator[None]:
        started = time.perf_counter()
        with writing(self):
            yield
        checkpoints.append(time.perf_counter() - started)

    Pace.writing = timed  # type: ignore[method-assign]
    method = dual(epochs=options.epochs, **(SMALL if options.small else {}))
    started = time.perf_counter()
    run_fit(method, Job(experiment_files(folder), folder / "out", folder / "work", runtime))
    report(device=device, fit=time.perf_counter() - started, checkpoints=checkpoints)


def main() -> None:
    """Make the images, run the job, and print a line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=600)
    parser.add_argument("--size", type=int, default=68)
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--small", action="store_true", help="the default configuration's network")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--gpu", action="store_true")
    parser.add_argument("--tf32", action="store_true")
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        train(options.child, options)
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_experiment(folder, options.images, options.size)
        found = run_child(__file__, "--child", folder, *sys.argv[1:])
        seconds = pd.read_csv(folder / "out" / "epochs.csv")["seconds"]
    # The first epoch compiles.
    steady = statistics.median(seconds)
    epochs, job = steady + seconds[1:].sum(), found["seconds"]
    written = sum(found["checkpoints"])
    print(
        f"{found['device']}, {options.images} images, {len(seconds)} epochs of {steady:.3f} s: job "
        f"{job:.1f} s, epochs {epochs:.1f} s (epochs / job {epochs / job:.2f}); compiling "
        f"{seconds[0] - steady:.1f} s; {len(found['checkpoints'])} checkpoints {written:.1f} s "
        f"(checkpoints / epochs {written / epochs:.3f}); before and after "
        f"{job - seconds.sum() - written:.1f} s; peak memory {found['peak_mb']:.0f} MB"
    )


if __name__ == "__main__":
    main()
