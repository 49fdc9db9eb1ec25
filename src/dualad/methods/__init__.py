"""Methods under one contract, and the jobs that fit and score them.

`dualad.methods.base` is the contract; a family's class is imported when it is needed, because
importing TensorFlow takes seconds.
"""

import importlib
import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from dualad.data import Dataset
from dualad.device import Runtime, configure_tensorflow
from dualad.methods.base import Detector, Experiment, FitReport, Scored
from dualad.params import Method
from dualad.plan import Plan
from dualad.predictions import Predictions, write_predictions
from dualad.progress import progress_bar
from dualad.split import Split

_SCORING_BATCH = 512


@dataclass(frozen=True)
class _Family:
    module: str
    class_name: str
    uses_tensorflow: bool = False


_FAMILIES = {
    "dual_autoencoder": _Family("dual_autoencoder", "DualAutoencoder", uses_tensorflow=True),
    "mean_image": _Family("controls", "MeanImage"),
    "pca": _Family("controls", "PrincipalComponents"),
    "pixel_std": _Family("controls", "PixelStd"),
}


def detector_class(family: str, runtime: Runtime) -> type[Detector]:
    """The family's class; sets TensorFlow up for `runtime` if the family uses it."""
    entry = _FAMILIES[family]
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
    detector = detector_class(method.family, runtime)(method.params)
    best = json.loads(best_json.read_text()) if best_json else None
    with _experiment(dataset_h5, split_json, plan_json, work_dir, best) as experiment:
        depth_range = experiment.dataset.depth_range
        report = replace(
            detector.fit(experiment),
            image_size=experiment.dataset.image_size,
            depth_range=None if depth_range is None else list(depth_range),
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
    runtime: Runtime,
) -> None:
    """Score the validation images of the fitted model and the test images."""
    detector = detector_class(method.family, runtime).load(model_dir, method.params)
    report = FitReport.read(model_dir / "fit.json")
    test = Split.from_json(json.loads(split_json.read_text())).test
    index = np.array([*report.validation, *test], dtype=np.int64)
    with Dataset(dataset_h5) as dataset:
        bar = progress_bar("scoring", len(index), "image")
        parts = []
        for batch in dataset.batches(index, _SCORING_BATCH):
            parts.append(_lighter(detector.score(batch)))
            bar.update(len(batch))
        bar.close()
    scored = Scored.join(parts)
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


def _lighter(scored: Scored) -> Scored:
    """Half precision for what is only ever drawn."""
    return replace(
        scored,
        reconstruction=_half(scored.reconstruction),
        saliency=_half(scored.saliency),
    )


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
