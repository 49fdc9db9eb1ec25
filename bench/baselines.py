"""Seconds to fit and to score a folder of images, and AUROC, per baseline.

    python bench/baselines.py FOLDER [--reader mvtec] [--protocol paper] [--weights FILE]
        [--methods padim patchcore] [--set padim.channels=50]

Each method runs in a process of its own, as in the workflow, at its default parameters unless
`--set` changes them; the time to cache the images is not counted. `--weights random` needs no
pretrained network.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml

from dualad.data.cache import build_dataset
from dualad.data.preparation import prepare
from dualad.design.experiments import Method, resolve_methods
from dualad.design.families import FAMILIES
from dualad.evaluation.evaluator import evaluate
from dualad.methods.jobs import ExperimentFiles, Job, run_baseline
from dualad.runtime import Runtime

BASELINES = [name for name, family in FAMILIES.items() if family.kind == "baseline"]


def method_of(name: str, weights: str, changes: list[str]) -> Method:
    """A family with its defaults, the weights and what `--set` changes."""
    entry = {"family": name}
    if hasattr(FAMILIES[name].params(), "weights"):
        entry["weights"] = weights
    for change in changes:
        key, _, value = change.partition("=")
        family, _, key = key.partition(".")
        if family == name:
            entry[key] = yaml.safe_load(value)
    return resolve_methods({name: entry})[name]


def run(method: Method, folder: Path, threads: int) -> None:
    """Fit, score and evaluate; print a line."""
    size = method.input_size
    out = folder / method.name
    files = ExperimentFiles(
        folder / f"colour{size}.h5" if size else folder / "dataset.h5",
        folder / "split.json",
        folder / "plan.json",
    )
    run_baseline(method, Job(files, out, folder / "work", Runtime(threads, threads)), map_size=68)
    evaluate(
        folder / "dataset.h5",
        folder / "split.json",
        out / "predictions.h5",
        method.params,
        method.name,
        out,
    )
    fit = json.loads((out / "fit.json").read_text())
    scoring = json.loads((out / "scoring.json").read_text())
    metrics = json.loads((out / "metrics.json").read_text())
    low, high = metrics["ci"]["auroc"]
    per_image = 1000 * scoring["seconds"] / scoring["images"]
    peak = max(fit["peak_memory_mb"], scoring["peak_memory_mb"])
    pixels = metrics["pixel_auroc"]
    print(
        f"{method.name:10s} fit {fit['seconds']:6.1f} s, score {per_image:6.1f} ms/image, "
        f"peak {peak:5.0f} MB, AUROC {metrics['auroc']:.3f} [{low:.3f}, {high:.3f}], "
        f"balanced accuracy {metrics['balanced_accuracy']:.3f}"
        + ("" if pixels is None else f", pixel AUROC {pixels:.3f}"),
        flush=True,
    )


def main() -> None:
    """Cache the images once, then run every method in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--reader", default="mvtec")
    parser.add_argument("--protocol", default="paper")
    parser.add_argument("--weights", default="imagenet")
    parser.add_argument("--methods", nargs="+", default=[n for n in BASELINES if n != "external"])
    parser.add_argument("--set", nargs="+", default=[], dest="changes", metavar="FAMILY.KEY=VALUE")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--prepared", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.prepared:
        for name in options.methods:
            run(
                method_of(name, options.weights, options.changes), options.prepared, options.threads
            )
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        entry = {"reader": options.reader, "path": str(options.folder)}
        methods = [method_of(m, options.weights, options.changes) for m in options.methods]
        h5, description = folder / "dataset.h5", folder / "dataset.json"
        build_dataset("bench", entry, h5, description, image_size=68)
        for size in {m.input_size for m in methods if m.input_size}:
            files = folder / f"colour{size}.h5", folder / f"colour{size}.json"
            build_dataset("bench", entry, *files, image_size=size, color=True)
        prepare(
            h5,
            description,
            plan_json=folder / "plan.json",
            split_json=folder / "split.json",
            protocol=options.protocol,
        )
        for method in methods:
            arguments = [*sys.argv[1:], "--prepared", name, "--methods", method.name]
            subprocess.run([sys.executable, __file__, *arguments], check=False)


if __name__ == "__main__":
    main()
