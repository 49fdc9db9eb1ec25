"""Studies: one method trained many times in one job, which saves starting TensorFlow each time.

A sweep sets one key to one value after another (section 5.4); Algorithm 1 asks for one batch size
after another. Training is the method's own (`run_fit`), evaluation that of all methods. What is
finished stays in the work folder, so that a killed study continues where it was.
"""

import gc
import hashlib
import json
import logging
import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from dualad.data.dataset import Dataset
from dualad.design.experiments import Method
from dualad.design.parameters import DualAutoencoderParams
from dualad.errors import DivergedError, DualadError
from dualad.evaluation.evaluator import evaluate
from dualad.files import write_text
from dualad.methods.base import FitReport, Scored
from dualad.methods.jobs import ExperimentFiles, Job, detector_class, run_fit, run_score
from dualad.ownership import require_ownership
from dualad.paper.algorithm_1 import search_batch_size
from dualad.results.batch_search import write_batch_search

logger = logging.getLogger(__name__)

KEPT = ("scores.csv", "threshold.json", "metrics.json", "fit.json", "attempts.csv")
"""Files that a sweep leaves for each value; all models and maps together would be too large."""
FAILURE = "failed.txt"
"""File with the reason, in the folder of a value under which every attempt diverged."""
_AUROC = "auroc.txt"


def run_sweep(
    points: Mapping[str, Method], job: Job, evaluation: Mapping[str, Any], code: str
) -> None:
    """Fit, score and evaluate a method under one value of a key after another.

    Parameters
    ----------
    points : mapping of str to Method
        A method per value, by the name of the value, which becomes a folder of the job's `out_dir`.
        It gets the files in `KEPT`, or `FAILURE` where every attempt diverged.
    job : Job
        Its `best_json` is the result of the base method's search.
    evaluation : mapping
        Keyword arguments of `dualad.evaluation.evaluator.evaluate`.
    code : str
        Fingerprint of the code: with everything else, it decides whether a finished value counts.
    """
    files = job.files
    with Dataset(files.dataset_h5) as dataset:
        image_size = dataset.image_size
    inputs = [_digests(files), code, dict(evaluation), image_size]

    def work(method: Method, folder: Path) -> None:
        _fit(method, job, folder)
        run_score(method, files.dataset_h5, files.split_json, folder, job.runtime, defects=False)
        evaluate(
            files.dataset_h5,
            files.split_json,
            folder / "predictions.h5",
            method.params,
            method.name,
            folder,
            **evaluation,
        )

    for number, (label, point) in enumerate(points.items(), start=1):
        # The value alone stands in the results, which are in the sweep's folder.
        method = replace(point, name=label)
        logger.info("%s (%d of %d)", method.name, number, len(points))
        params = {"family": method.family, **asdict(method.params)}
        _once(job.work_dir / label, [params, *inputs], method, work)
    _copy_results(points, job)


def run_batch_search(method: Method, job: Job, epsilon: int, code: str) -> None:
    """Search the batch size of highest validation AUROC by Algorithm 1.

    The paper does not say on which images its f(B), an AUROC, is measured. Here it is measured on
    the validation images with the method's score, because the test set may not decide anything. A
    batch size under which every attempt diverges counts as AUROC 0. Leaves `evaluations.csv` and
    `result.json`.

    Parameters
    ----------
    method : Method
        A dual autoencoder.
    job : Job
    epsilon : int
        Algorithm 1's tolerance, in images.
    code : str
        Fingerprint of the code: with everything else, it decides whether a finished batch size
        counts.

    Raises
    ------
    DualadError
        If the validation images are of one class, or the method has no batch size.
    """
    params = method.params
    if not isinstance(params, DualAutoencoderParams):
        raise DualadError("batch_search.method: only a dual autoencoder has a batch size to search")
    if not job.files.split.validation_anomalous:
        raise DualadError(
            "batch_search: the validation images are all normal, so there is no AUROC to search "
            "by; name in batch_search.datasets only datasets with anomalies to validate on"
        )
    inputs = [_digests(job.files), code]

    def work(sized: Method, folder: Path) -> None:
        _fit(sized, job, folder)
        auroc = _validation_auroc(sized, folder, job)
        write_text(folder / _AUROC, f"{auroc!r}\n")

    def validation_auroc(batch_size: int) -> float:
        sized = replace(
            method,
            name=f"{method.name}, batch size {batch_size}",
            # The validation AUROC needs no Monte Carlo samples.
            params=replace(params, batch_size=batch_size, mc=replace(params.mc, samples=0)),
        )
        folder = job.work_dir / str(batch_size)
        _once(folder, [sized.stage_params("score"), *inputs], sized, work)
        failed = (folder / FAILURE).exists()
        auroc = 0.0 if failed else float((folder / _AUROC).read_text())
        logger.info("batch size %d: validation AUROC %.4f", batch_size, auroc)
        return auroc

    plan = job.files.plan
    found = search_batch_size(
        plan.n_images, validation_auroc, max_batch=plan.n_train_pool, epsilon=epsilon
    )
    write_batch_search(found, job.out_dir / "evaluations.csv", job.out_dir / "result.json")


def _once(folder: Path, key: object, method: Method, work: Callable[[Method, Path], None]) -> None:
    """Do a method's work in a folder unless an earlier, killed job has finished it."""
    digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()
    done = folder / "done"
    if done.exists() and done.read_text() == digest:
        logger.info("%s: finished before", method.name)
        return
    done.unlink(missing_ok=True)
    (folder / FAILURE).unlink(missing_ok=True)
    try:
        work(method, folder)
    except DivergedError as error:
        logger.warning("%s: %s", method.name, error)
        write_text(folder / FAILURE, f"{error}\n")
    require_ownership(folder)
    write_text(done, digest)
    _forget_models()


def _fit(method: Method, job: Job, folder: Path) -> None:
    """Fit a method of a study in a folder of its own."""
    best = job.files.best_json if method.tunes_dropout else None
    files = replace(job.files, best_json=best)
    work_dir = folder / ".work"
    run_fit(method, replace(job, files=files, out_dir=folder, work_dir=work_dir))
    require_ownership(work_dir)
    shutil.rmtree(work_dir, ignore_errors=True)


def _copy_results(labels: Iterable[str], job: Job) -> None:
    """Copy what a sweep leaves from its unfinished work to its results."""
    for label in labels:
        (job.out_dir / label).mkdir(parents=True, exist_ok=True)
        for file in (*KEPT, FAILURE):
            if (job.work_dir / label / file).exists():
                shutil.copyfile(job.work_dir / label / file, job.out_dir / label / file)


def _validation_auroc(method: Method, folder: Path, job: Job) -> float:
    """AUROC of a fitted method's score on the validation images."""
    # Imported here, after TensorFlow has been set up without scikit-learn.
    from sklearn.metrics import roc_auc_score

    detector = detector_class(method.family, job.runtime).load(folder, method.params)
    index = FitReport.read(folder / "fit.json").validation
    with Dataset(job.files.dataset_h5) as dataset:
        labels = dataset.table["label"].to_numpy()[index]
        batches = dataset.batches(np.asarray(index), detector.scoring_batch)
        scored = Scored.join([detector.score(batch) for batch in batches])
    return float(roc_auc_score(labels, scored.scores[detector.default_score]))


def _digests(files: ExperimentFiles) -> list[str]:
    """SHA-256 of the split, of the plan and of the search's result, if there is one."""
    paths = (files.split_json, files.plan_json, files.best_json)
    return [hashlib.sha256(path.read_bytes()).hexdigest() for path in paths if path]


def _forget_models() -> None:
    """Free what the last training left in memory, GPU memory too."""
    import keras

    keras.backend.clear_session()
    gc.collect()
