"""Studies: one method trained many times in one job, which saves starting TensorFlow each time.

A sweep sets one key to one value after another (section 5.4); Algorithm 1 asks for one batch size
after another. Each training is the method's own (`run_fit`), each judgement the one evaluator's.
What is finished is kept in the work folder, so that a killed study goes on where it was.
"""

import gc
import hashlib
import json
import logging
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from dualad.data.dataset import Dataset
from dualad.data.plan import Plan
from dualad.data.split import Split
from dualad.design.experiments import Method
from dualad.design.parameters import DualAutoencoderParams
from dualad.errors import DivergedError, DualadError
from dualad.evaluation.evaluator import evaluate
from dualad.methods.base import FitReport, Scored
from dualad.methods.jobs import detector_class, run_fit, run_score
from dualad.paper.algorithm_1 import search_batch_size
from dualad.results.batch_search import write_batch_search
from dualad.runtime import Runtime

logger = logging.getLogger(__name__)

KEPT = ("scores.csv", "threshold.json", "metrics.json", "fit.json", "attempts.csv")
"""What a sweep leaves of each value; models and maps are as large as they are many."""
FAILURE = "failed.txt"
"""Stands in a value's folder, with the reason, where every attempt diverged."""


def run_sweep(
    points: Mapping[str, Method],
    dataset_h5: Path,
    split_json: Path,
    plan_json: Path,
    best_json: Path | None,
    *,
    out_dir: Path,
    work_dir: Path,
    map_size: int,
    evaluation: Mapping[str, Any],
    code: str,
    runtime: Runtime,
) -> None:
    """Fit, score and judge a method under one value of a key after another.

    Parameters
    ----------
    points
        A method per value, by the name of the value, which becomes a folder of `out_dir`.
    dataset_h5, split_json, plan_json
        The images that the method sees, the split, the plan.
    best_json
        Result of the base method's search, for points that train with it.
    out_dir
        Gets, per value, the files in `KEPT`, or `FAILURE` where every attempt diverged.
    work_dir
        Survives a kill and is removed at the end.
    map_size, evaluation
        As for `run_score` and, as keywords, `dualad.evaluation.evaluator.evaluate`.
    code
        Fingerprint of the code: with everything else, it decides whether a finished value counts.
    runtime
        What the job may use.
    """
    inputs = _digest(split_json, plan_json, *([best_json] if best_json else []))

    def judge(folder: Path, method: Method) -> None:
        _fit(method, dataset_h5, split_json, plan_json, best_json, folder, runtime)
        run_score(
            method,
            folder,
            dataset_h5,
            split_json,
            predictions_h5=folder / "predictions.h5",
            scoring_json=folder / "scoring.json",
            map_size=map_size,
            runtime=runtime,
        )
        evaluate(
            dataset_h5,
            split_json,
            folder / "predictions.h5",
            method.params,
            method.name,
            scores_csv=folder / "scores.csv",
            threshold_json=folder / "threshold.json",
            metrics_json=folder / "metrics.json",
            **evaluation,
        )

    for number, (label, method) in enumerate(points.items(), start=1):
        logger.info("%s (%d of %d)", method.name, number, len(points))
        params = {"family": method.family, **asdict(method.params)}
        _once(work_dir / label, [params, inputs, code, dict(evaluation), map_size], method, judge)
    built = work_dir / "finished"
    shutil.rmtree(built, ignore_errors=True)
    for label in points:
        (built / label).mkdir(parents=True)
        for file in (*KEPT, FAILURE):
            if (work_dir / label / file).exists():
                shutil.copyfile(work_dir / label / file, built / label / file)
    shutil.rmtree(out_dir, ignore_errors=True)
    out_dir.parent.mkdir(parents=True, exist_ok=True)
    os.replace(built, out_dir)
    shutil.rmtree(work_dir)


def run_batch_search(
    method: Method,
    dataset_h5: Path,
    split_json: Path,
    plan_json: Path,
    best_json: Path | None,
    *,
    evaluations_csv: Path,
    result_json: Path,
    work_dir: Path,
    epsilon: int,
    code: str,
    runtime: Runtime,
) -> None:
    """Search the batch size of highest validation AUROC by Algorithm 1.

    The paper's f(B) is an AUROC that it does not place; ours is that of the validation images under
    the method's score, because the test set may decide nothing. A batch size under which every
    attempt diverges counts as AUROC 0.

    Raises
    ------
    DualadError
        If the validation images are of one class.
    """
    params = method.params
    if not isinstance(params, DualAutoencoderParams):
        raise DualadError("batch_search.method: only a dual autoencoder has a batch size to search")
    split = Split.from_json(json.loads(split_json.read_text()))
    plan = Plan.from_json(json.loads(plan_json.read_text()))
    if not split.validation_anomalous:
        raise DualadError(
            "batch_search: the validation images are all normal, so there is no AUROC to search "
            "by; name in batch_search.datasets only datasets with anomalies to validate on"
        )
    inputs = _digest(split_json, plan_json, *([best_json] if best_json else []))

    def separate(folder: Path, sized: Method) -> None:
        _fit(sized, dataset_h5, split_json, plan_json, best_json, folder, runtime)
        value = _validation_auroc(sized, folder, dataset_h5, runtime)
        (folder / "auroc.json").write_text(json.dumps(value))

    def auroc(batch_size: int) -> float:
        sized = replace(
            method,
            name=f"{method.name}, batch size {batch_size}",
            # Neither Monte Carlo samples nor anything else beside the score is needed.
            params=replace(params, batch_size=batch_size, mc=replace(params.mc, samples=0)),
        )
        folder = work_dir / str(batch_size)
        _once(folder, [sized.stage_params("score"), inputs, code], sized, separate)
        value = 0.0
        if not (folder / FAILURE).exists():
            value = json.loads((folder / "auroc.json").read_text())
        logger.info("batch size %d: validation AUROC %.4f", batch_size, value)
        return value

    found = search_batch_size(plan.n_images, auroc, max_batch=plan.n_train_pool, epsilon=epsilon)
    write_batch_search(found, evaluations_csv, result_json)
    shutil.rmtree(work_dir)


def _once(folder: Path, key: object, method: Method, work: Callable[[Path, Method], None]) -> None:
    """Do the work in `folder` unless an earlier, killed job has finished it."""
    wanted = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()
    done = folder / "done"
    if done.exists() and done.read_text() == wanted:
        logger.info("%s: finished before", method.name)
        return
    done.unlink(missing_ok=True)
    (folder / FAILURE).unlink(missing_ok=True)
    try:
        work(folder, method)
    except DivergedError as error:
        logger.warning("%s: %s", method.name, error)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / FAILURE).write_text(f"{error}\n")
    done.write_text(wanted)
    _forget_models()


def _fit(
    method: Method,
    dataset_h5: Path,
    split_json: Path,
    plan_json: Path,
    best_json: Path | None,
    folder: Path,
    runtime: Runtime,
) -> None:
    run_fit(
        method,
        dataset_h5,
        split_json,
        plan_json,
        best_json if method.tunes_dropout else None,
        out_dir=folder,
        work_dir=folder / ".work",
        runtime=runtime,
    )


def _validation_auroc(method: Method, folder: Path, dataset_h5: Path, runtime: Runtime) -> float:
    from sklearn.metrics import roc_auc_score

    detector = detector_class(method.family, runtime).load(folder, method.params)
    index = FitReport.read(folder / "fit.json").validation
    with Dataset(dataset_h5) as dataset:
        labels = dataset.table["label"].to_numpy()[index]
        batches = dataset.batches(np.asarray(index), detector.scoring_batch)
        scored = Scored.join([detector.score(batch) for batch in batches])
    return float(roc_auc_score(labels, scored.scores[detector.default_score]))


def _digest(*paths: Path) -> list[str]:
    return [hashlib.sha256(path.read_bytes()).hexdigest() for path in paths]


def _forget_models() -> None:
    """Free what the last training left in memory, GPU memory too."""
    import keras

    keras.backend.clear_session()
    gc.collect()
