"""Where the seconds of a small job go before, between and after the computing.

    python bench/startup.py [--repeats 3] [--gpu]

Searches, trains and scores 200 made images with the default configuration's network and budgets,
each job in a process of its own, as the workflow does: without compiled programs of earlier jobs,
and with them. Prints a table in Markdown with the median seconds of

- `imports`: the interpreter, the package and TensorFlow;
- `device`: the first operation;
- `reading`: the dataset, or the fitted model;
- `tracing`: TensorFlow's graphs of the compiled functions, while Python runs;
- `compiling`: XLA, from the log of its own timer;
- `computing`: what is left, most of it the network at work;
- `writing`: the results.
"""

import argparse
import itertools
import re
import shutil
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from experiments import (
    SMALL,
    dual,
    experiment_files,
    make_experiment,
    report,
    run_child,
)

IMAGES, SIZE = 200, 64
BUDGET = {
    "epochs": 50,
    "attempts": 2,
    "attempt_rule": "all",
    "divergence_factor": 100,
    "dropout": "tuned",
    "search": {"trials": 2, "epochs": 5},
    "mc": {"samples": 20},
}
JOBS = ("search", "train", "score")
PHASES = ("imports", "device", "reading", "tracing", "compiling", "computing", "writing")


class Stopwatch:
    """Seconds spent inside some functions, the outermost call counted."""

    def __init__(self) -> None:
        self.spent = dict.fromkeys(PHASES, 0.0)
        self._running: str | None = None

    def watch(self, owner: Any, name: str, phase: str) -> None:
        """Count the time inside a function of a module or a class."""
        function = getattr(owner, name)

        def timed(*args: Any, **kwargs: Any) -> Any:
            if self._running:
                return function(*args, **kwargs)
            self._running, started = phase, time.perf_counter()
            try:
                return function(*args, **kwargs)
            finally:
                self._running = None
                self.spent[phase] += time.perf_counter() - started

        setattr(owner, name, timed)


def run_job(job: str, folder: Path, gpu: bool, kept: bool, started: float) -> None:
    """One job of the experiment in a folder; reports the seconds of the phases that it sees.

    Its process was started at the time `started`. It keeps the programs that it compiles, and takes
    those of earlier jobs, if `kept`.
    """
    from dualad.runtime import Runtime, configure_tensorflow

    runtime = Runtime(1, 1, gpu=int(gpu), programs=folder / "programs" if kept else None)
    configure_tensorflow(runtime)
    from tensorflow.python.eager.polymorphic_function import tracing_compilation

    import dualad.data.dataset
    import dualad.methods.dual_autoencoder as family
    import dualad.methods.jobs as jobs

    imported = time.time()
    import tensorflow as tf

    float(tf.constant(1.0) + 1)
    ready = time.time()
    watch = Stopwatch()
    watch.watch(tracing_compilation, "trace_function", "tracing")
    watch.watch(dualad.data.dataset.Dataset, "images", "reading")
    watch.watch(family, "load_model", "reading")
    for owner, name in (
        (family, "save_model"),
        (jobs, "write_predictions"),
        (jobs, "write_json"),
    ):
        watch.watch(owner, name, "writing")

    method = dual(**BUDGET, **SMALL)
    files, out = experiment_files(folder), folder / "out"
    if job == "search":
        jobs.run_search(method, jobs.Job(files, out, folder / "work", runtime))
    elif job == "train":
        with_best = jobs.ExperimentFiles(
            files.dataset_h5, files.split_json, files.plan_json, out / "search" / "best.json"
        )
        jobs.run_fit(method, jobs.Job(with_best, out, folder / "work", runtime))
    else:
        jobs.run_score(method, files.dataset_h5, files.split_json, out, runtime)
    watch.spent.update(imports=imported - started, device=ready - imported)
    report(phases=watch.spent)


def phases_of(job: str, folder: Path, gpu: bool, kept: bool) -> dict[str, float]:
    """Run a job from its beginning; seconds by phase."""
    shutil.rmtree(folder / "work", ignore_errors=True)
    found = run_child(
        __file__,
        *("--child", job, folder, time.time()),
        *["--gpu"] * gpu,
        *["--kept"] * kept,
        # Lets the profiler of XLA's compiler write a line for every compilation.
        TF_CPP_MIN_LOG_LEVEL="0",
        TF_CPP_VMODULE="device_compilation_profiler=1",
    )
    phases = found["phases"]
    compiled = re.findall(r"Compiled .*? compile time: (\d+) us", found["log"])
    phases["compiling"] = sum(map(int, compiled)) / 1e6
    phases["computing"] = found["seconds"] - sum(phases.values())
    return phases


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--gpu", action="store_true")
    parser.add_argument("--kept", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        job, folder, started = options.child
        run_job(job, Path(folder), options.gpu, options.kept, float(started))
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_experiment(folder, IMAGES, SIZE)
        print(f"| job | {' | '.join(PHASES)} | all |")
        print("|---" * (len(PHASES) + 2) + "|")
        for job, kept in itertools.product(JOBS, (False, True)):
            if kept:
                # Compiles them.
                phases_of(job, folder, options.gpu, kept)
            runs = [phases_of(job, folder, options.gpu, kept) for _ in range(options.repeats)]
            medians = [statistics.median(run[phase] for run in runs) for phase in PHASES]
            whole = statistics.median(sum(run.values()) for run in runs)
            cells = [f"{value:.2f}" for value in (*medians, whole)]
            name = f"{job}, programs kept" if kept else job
            print(f"| {name} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
