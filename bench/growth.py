"""How time and memory grow with the number of images, from the cache to the evaluation.

    python bench/growth.py [--sizes 1000 4000 16000 64000] [--size 28] [--gpu] [--plot growth.png]

Every stage runs in a process of its own on N made images, with the default configuration's
network, two epochs and 20 Monte Carlo samples. Prints seconds and peak memory of every stage for
every N, and how both grow from the smallest to the largest N: the exponent is 1 where time is
proportional to N, and 0 where memory is flat. The memory that Python and its libraries take is in
all figures; the time that they take to start is in none.
"""

import argparse
import math
import sys
import tempfile
import time
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from experiments import (
    SMALL,
    cache_images,
    dual,
    experiment_files,
    make_images,
    plan_and_split,
    report,
    run_child,
)

STAGES = ("cache", "plan", "train", "score", "monte_carlo", "evaluate")


def run_stage(stage: str, folder: Path, options: argparse.Namespace) -> None:
    """One stage of the experiment in a folder; reports the seconds without the process's start."""
    from dualad.evaluation.evaluator import evaluate
    from dualad.methods.jobs import Job, run_fit, run_score
    from dualad.runtime import Runtime, configure_tensorflow

    runtime = Runtime(2, 2, gpu=int(options.gpu))
    if stage in ("train", "score", "monte_carlo"):
        configure_tensorflow(runtime)
    files, out = experiment_files(folder), folder / "out"
    samples = 20 if stage == "monte_carlo" else 0
    method = dual(epochs=2, mc={"samples": samples}, divergence_factor=100, **SMALL)
    started = time.perf_counter()
    if stage == "cache":
        cache_images(folder, options.size)
    elif stage == "plan":
        plan_and_split(folder)
    elif stage == "train":
        run_fit(method, Job(files, out, folder / "work", runtime))
    elif stage == "evaluate":
        evaluate(
            files.dataset_h5,
            files.split_json,
            out / "predictions.h5",
            method.params,
            method.name,
            out,
        )
    else:
        run_score(method, files.dataset_h5, files.split_json, out, runtime)
    report(stage=time.perf_counter() - started)


def main() -> None:
    """Print a line per stage and N, and the exponents; draw both."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[1000, 4000, 16000, 64000])
    parser.add_argument("--size", type=int, default=28, help="side of the images")
    parser.add_argument("--gpu", action="store_true")
    parser.add_argument("--plot", type=Path, default=Path("growth.png"))
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        run_stage(options.child[0], Path(options.child[1]), options)
        return
    seconds: dict[str, list[float]] = {stage: [] for stage in STAGES}
    memory: dict[str, list[float]] = {stage: [] for stage in STAGES}
    for n in options.sizes:
        with tempfile.TemporaryDirectory() as name:
            make_images(Path(name) / "images", n, options.size)
            for stage in STAGES:
                found = run_child(__file__, "--child", stage, name, *sys.argv[1:])
                seconds[stage].append(found["stage"])
                memory[stage].append(found["peak_mb"])
                print(
                    f"N = {n}: {stage} {found['stage']:.1f} s, {found['peak_mb']:.0f} MB",
                    flush=True,
                )
    figure, axes = plt.subplots(1, 2, figsize=(9, 3.5), layout="constrained")
    for axis, values, label in zip(
        axes, (seconds, memory), ("seconds", "peak memory [MB]"), strict=True
    ):
        for stage in STAGES:
            axis.loglog(options.sizes, values[stage], marker="o", label=stage)
        axis.set(xlabel="images", ylabel=label)
    axes[0].legend()
    figure.savefig(options.plot)
    if len(options.sizes) > 1:
        span = math.log(options.sizes[-1] / options.sizes[0])
        for stage in STAGES:
            exponents = [
                math.log(values[stage][-1] / values[stage][0]) / span
                for values in (seconds, memory)
            ]
            print(f"{stage}: time ~ N^{exponents[0]:.2f}, memory ~ N^{exponents[1]:.2f}")
    print(options.plot)


if __name__ == "__main__":
    main()
