"""The jobs that search, fit and score a method.

A family's class is imported when it is needed, because
importing TensorFlow takes seconds.
"""

import importlib
import json
import resource
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from dualad.data.dataset import Dataset
from dualad.data.plan import Plan
from dualad.data.split import Split
from dualad.design.experiments import Method
from dualad.design.families import FAMILIES
from dualad.evaluation.maps import resized_maps
from dualad.evaluation.predictions import Predictions, write_predictions
from dualad.methods.base import Detector, Experiment, FitReport, FloatArray, Scored
from dualad.progress import progress_bar
from dualad.runtime import Runtime, configure_tensorflow


def detector_class(family: str, runtime: Runtime) -> type[Detector]:
    """The family's class; sets TensorFlow up for `runtime` if the family uses it."""
    entry = FAMILIES[family]
    if entry.uses_tensorflow:
        configure_tensorflow(runtime)
    found: type[Detector] = getattr(
        importlib.import_module(f"dualad.methods.{entry.module}"), entry.class_name
    )
    return found


def run_search(
    method: Method,
    dataset_h5: Path,
    split_json: Path,
    plan_json: Path,
    *,
    trials_csv: Path,
    best_json: Path,
    work_dir: Path,
    runtime: Runtime,
) -> None:
    """Search a method's dropout rates; `work_dir` survives a kill and is removed at the end."""
    detector: Any = detector_class(method.family, runtime)(method.params)
    with _experiment(dataset_h5, split_json, plan_json, work_dir) as experiment:
        detector.search(experiment, trials_csv, best_json)
    shutil.rmtree(work_dir, ignore_errors=True)


def run_fit(
    method: Method,
    dataset_h5: Path,
    split_json: Path,
    plan_json: Path,
    best_json: Path | None,
    *,
    out_dir: Path,
    work_dir: Path,
    runtime: Runtime,
) -> None:
    """Fit a method and write its model, its `fit.json` and what else its family leaves.

    `work_dir` survives a kill and is removed at the end.
    """
    started = time.perf_counter()
    detector = detector_class(method.family, runtime)(method.params)
    best = json.loads(best_json.read_text()) if best_json else None
    with _experiment(dataset_h5, split_json, plan_json, work_dir, best) as experiment:
        dataset = experiment.dataset
        report = detector.fit(experiment)
        report = replace(
            report,
            image_size=dataset.image_size,
            color=dataset.color,
            depth_range=None if dataset.depth_range is None else list(dataset.depth_range),
            notes=[*(["interpretation"] if method.about.interpretation else []), *report.notes],
            seconds=time.perf_counter() - started,
            peak_memory_mb=_peak_memory_mb(),
        )
    out_dir.mkdir(parents=True, exist_ok=True)
    detector.save(out_dir)
    report.write(out_dir / "fit.json")
    shutil.rmtree(work_dir, ignore_errors=True)


def run_score(
    method: Method,
    model_dir: Path,
    dataset_h5: Path,
    split_json: Path,
    *,
    predictions_h5: Path,
    scoring_json: Path,
    map_size: int,
    runtime: Runtime,
) -> None:
    """Score the validation images of the fitted model and the test images.

    Parameters
    ----------
    method, model_dir, dataset_h5, split_json
        The method, the folder of its model, the images that it sees, and the split.
    predictions_h5
        Gets what the method says of each image.
    scoring_json
        Gets what that cost: `seconds`, `images`, `peak_memory_mb`.
    map_size
        Side S of the ground-truth masks: larger anomaly maps are reduced to it.
    runtime
        What the job may use.
    """
    detector = detector_class(method.family, runtime).load(model_dir, method.params)
    report = FitReport.read(model_dir / "fit.json")
    test = Split.from_json(json.loads(split_json.read_text())).test
    index = np.array([*report.validation, *test], dtype=np.int64)
    started = time.perf_counter()
    with Dataset(dataset_h5) as dataset:
        bar = progress_bar("scoring", len(index), "image")
        parts = []
        for batch in dataset.batches(index, detector.scoring_batch):
            parts.append(_lighter(detector.score(batch), map_size))
            bar.update(len(batch))
        bar.close()
    scored = Scored.join(parts)
    cost = {
        "seconds": time.perf_counter() - started,
        "images": len(index),
        "peak_memory_mb": _peak_memory_mb(),
    }
    write_predictions(
        predictions_h5,
        Predictions(
            index=index,
            split=np.array(["val"] * len(report.validation) + ["test"] * len(test)),
            scores=scored.scores,
            default_score=detector.default_score,
            family=method.family,
            method=method.name,
            n_parameters=report.n_parameters,
            mc_mean=scored.mc_mean,
            mc_var=scored.mc_var,
            maps=scored.maps,
            reconstruction=scored.reconstruction,
            saliency=scored.saliency,
            reconstruction_skill=report.reconstruction_skill,
            notes=tuple(report.notes),
        ),
    )
    scoring_json.write_text(json.dumps(cost, indent=2) + "\n")


def run_baseline(
    method: Method,
    dataset_h5: Path,
    split_json: Path,
    plan_json: Path,
    *,
    out_dir: Path,
    work_dir: Path,
    map_size: int,
    runtime: Runtime,
) -> None:
    """Fit and score in one process, so that TensorFlow starts only once.

    Scores come from the saved model, read again: what is judged is what `dualad score` will use.
    """
    run_fit(
        method,
        dataset_h5,
        split_json,
        plan_json,
        None,
        out_dir=out_dir,
        work_dir=work_dir,
        runtime=runtime,
    )
    run_score(
        method,
        out_dir,
        dataset_h5,
        split_json,
        predictions_h5=out_dir / "predictions.h5",
        scoring_json=out_dir / "scoring.json",
        map_size=map_size,
        runtime=runtime,
    )


def _peak_memory_mb() -> float:
    """Largest resident memory of this process so far; Linux counts in KiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _lighter(scored: Scored, map_size: int) -> Scored:
    """Maps no larger than the masks, and half precision for what is only ever drawn."""
    return replace(
        scored,
        maps={name: _reduced(maps, map_size) for name, maps in scored.maps.items()},
        reconstruction=_half(scored.reconstruction),
        saliency=_half(scored.saliency),
    )


def _reduced(maps: FloatArray, size: int) -> FloatArray:
    if maps.shape[1] <= size:
        return maps
    return resized_maps(maps, (size, size))


def _half(images: npt.NDArray[np.floating] | None) -> npt.NDArray[np.float16] | None:
    return None if images is None else images.astype(np.float16)


@contextmanager
def _experiment(
    dataset_h5: Path,
    split_json: Path,
    plan_json: Path,
    work_dir: Path,
    best: Mapping[str, Any] | None = None,
) -> Iterator[Experiment]:
    split = Split.from_json(json.loads(split_json.read_text()))
    plan = Plan.from_json(json.loads(plan_json.read_text()))
    work_dir.mkdir(parents=True, exist_ok=True)
    with Dataset(dataset_h5) as dataset:
        yield Experiment(dataset, split, plan, work_dir, best)
