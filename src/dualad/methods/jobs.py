"""The jobs that search, fit and score a method.

A family's class is imported only when it is needed, because importing TensorFlow takes seconds.
"""

import hashlib
import importlib
import json
import resource
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np
import numpy.typing as npt

from dualad.data.dataset import Dataset
from dualad.data.plan import Plan
from dualad.data.split import Split
from dualad.data.synthetic import KINDS, with_defects
from dualad.design.experiments import Method, resolve_methods
from dualad.design.families import FAMILIES
from dualad.design.keys import Stage
from dualad.errors import DualadError, brief
from dualad.evaluation.examples import localised
from dualad.evaluation.maps import resized_maps
from dualad.evaluation.predictions import Predictions, SyntheticScores, write_predictions
from dualad.files import read_json, reading, write_json
from dualad.fingerprints import check_code_again
from dualad.handover import do_once
from dualad.methods.base import Detector, Experiment, FitReport, FloatArray, Indices, Scored
from dualad.progress import progress_bar
from dualad.runtime import Runtime, configure_tensorflow, fix_pool_sizes

MOST_WITH_DEFECTS = 50
"""Normal validation images that get synthetic defects, at most; each gets one of every kind."""


def detector_class(family: str, runtime: Runtime) -> type[Detector]:
    """The family's class; sets threads up for `runtime`, and TensorFlow if the family uses it."""
    entry = FAMILIES[family]
    if entry.uses_tensorflow:
        configure_tensorflow(runtime)
    else:
        fix_pool_sizes(runtime.threads)
    found = family_class(family)
    # It was imported only now, perhaps after hours of waiting for another job.
    check_code_again()
    return found


def family_class(family: str) -> type[Detector]:
    """The family's class, in a process that is set up already."""
    entry = FAMILIES[family]
    found: type[Detector] = getattr(
        importlib.import_module(f"dualad.methods.{entry.module}"), entry.class_name
    )
    return found


@contextmanager
def applying(folder: Path) -> Iterator[None]:
    """Say of a fitted method whose files do not fit together that it cannot be applied.

    Parameters
    ----------
    folder
        The folder from which the method was loaded.

    Raises
    ------
    DualadError
        In place of what arrays of a wrong shape or type raise.
    """
    try:
        yield
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise DualadError(
            f"{folder}: the model in it cannot be applied ({brief(repr(error))}); delete the "
            "folder and run the workflow again"
        ) from error


@dataclass(frozen=True)
class ExperimentFiles:
    """The files that hold the data side of an experiment."""

    dataset_h5: Path
    """The images that the method sees."""
    split_json: Path
    plan_json: Path
    best_json: Path | None = None
    """Result of the hyperparameter search, for a method that trains with it."""
    network: Path | None = None
    """Folder of the fitted method whose network is used, for a method that uses one."""

    @classmethod
    def from_inputs(cls, inputs: Mapping[str, Any]) -> Self:
        """Take the paths that a job calls `dataset`, `split` and `plan`.

        If there are any, also `best`, and `network`, a list of files in one folder.
        """
        best, network = inputs.get("best"), inputs.get("network")
        dataset, split, plan = (Path(inputs[key]) for key in ("dataset", "split", "plan"))
        return cls(
            dataset,
            split,
            plan,
            Path(best) if best else None,
            Path(network[0]).parent if network else None,
        )

    @property
    def split(self) -> Split:
        """The split, read from its file."""
        return Split.read(self.split_json)

    @property
    def plan(self) -> Plan:
        """The plan, read from its file."""
        return Plan.read(self.plan_json)

    @contextmanager
    def open(self, work_dir: Path) -> Iterator[Experiment]:
        """The experiment, with the dataset open for reading; makes `work_dir`."""
        best = read_json(self.best_json) if self.best_json else None
        work_dir.mkdir(parents=True, exist_ok=True)
        with Dataset(self.dataset_h5) as dataset:
            yield Experiment(dataset, self.split, self.plan, work_dir, best, self.network)


class Rule(Protocol):
    """What a workflow gives the script of a rule; the workflow's own object fits."""

    @property
    def input(self) -> Mapping[str, Any]:
        """Paths by name."""
        ...

    @property
    def params(self) -> Mapping[str, Any]:
        """Parameters by name."""
        ...

    @property
    def threads(self) -> int:
        """Cores that the job was given."""
        ...

    @property
    def resources(self) -> Mapping[str, Any]:
        """`gpu` and `gpu_memory_mb`, if the job was given a GPU."""
        ...


@dataclass(frozen=True)
class Job:
    """The files of a job, and what it may use."""

    files: ExperimentFiles
    out_dir: Path
    """Folder of the results, whose file names are fixed."""
    work_dir: Path
    """Folder of unfinished work, which survives a kill."""
    runtime: Runtime
    key: str = ""
    """Identifies what the results depend on, if that is known."""

    @classmethod
    def of_rule(cls, rule: Rule, out_dir: Path | str) -> Self:
        """The job of a workflow's rule.

        Parameters
        ----------
        rule
            Its `input` names the files that `ExperimentFiles.from_inputs` takes; its `params` the
            folder of unfinished work, `work`, and what `dualad.runtime.Runtime.of_job` takes.
        out_dir
            Folder of the results.
        """
        runtime = Runtime.of_job(rule.params, rule.threads, rule.resources)
        files, work_dir = ExperimentFiles.from_inputs(rule.input), Path(rule.params["work"])
        return cls(files, Path(out_dir), work_dir, runtime, rule_key(rule, runtime))


def run_alone(job: Job, run: Callable[[Job], None]) -> None:
    """Run a job as the only one in its work folder (`dualad.handover.do_once`).

    Parameters
    ----------
    job
    run
        One of the functions below. It is given the job with other folders: one of unfinished work,
        and one of results, which become those of `job` when all are complete.
    """

    def work(unfinished: Path, results: Path) -> None:
        run(replace(job, work_dir=unfinished, out_dir=results))

    do_once(job.work_dir, job.out_dir, job.key, work)


def run_search(method: Method, job: Job) -> None:
    """Search a method's dropout rates; leaves `search/trials.csv` and `search/best.json`."""
    method = _reduced_to(method, "search")
    detector: Any = detector_class(method.family, job.runtime)(method.params)
    with job.files.open(job.work_dir) as experiment:
        detector.search(experiment, job.out_dir / "search")


def run_fit(method: Method, job: Job) -> None:
    """Fit a method; leaves its model, `fit.json` and what else its family writes."""
    started = time.perf_counter()
    method = _reduced_to(method, "train")
    detector = detector_class(method.family, job.runtime)(method.params)
    with job.files.open(job.work_dir) as experiment:
        dataset = experiment.dataset
        _require_training_images(method, detector, experiment)
        report = detector.fit(experiment)
        report = replace(
            report,
            image_size=dataset.image_size,
            color=dataset.color,
            depth_range=None if dataset.depth_range is None else list(dataset.depth_range),
            value_range=None if dataset.value_range is None else list(dataset.value_range),
            notes=[*method.about.notes, *report.notes],
            seconds=report.seconds + time.perf_counter() - started,
            peak_memory_mb=_peak_memory_mb(),
        )
    job.out_dir.mkdir(parents=True, exist_ok=True)
    detector.save(job.out_dir)
    report.write(job.out_dir / "fit.json")


def run_score(
    method: Method,
    dataset_h5: Path,
    split_json: Path,
    folder: Path,
    runtime: Runtime,
    map_size: int | None = None,
    *,
    defects: bool = True,
    out_dir: Path | None = None,
) -> None:
    """Score the validation images of a fitted model and the test images.

    Leaves the scores in `predictions.h5`, and what scoring cost (`seconds`, `images`,
    `peak_memory_mb`) in `scoring.json`.

    Parameters
    ----------
    method : Method
    dataset_h5, split_json : Path
        The images that the method sees, and the split.
    folder : Path
        Folder of the fitted model.
    runtime : Runtime
    map_size : int, optional
        Side S of the ground-truth masks, to which larger anomaly maps are reduced; that of the
        method's images unless given.
    defects : bool
        Whether validation normals are scored with synthetic defects as well, which helps to
        recommend a method.
    out_dir : Path, optional
        Folder of the results, that of the model unless given.
    """
    out_dir = out_dir or folder
    with reading(folder / "fit.json"):
        report = FitReport.read(folder / "fit.json")
    detector = detector_class(method.family, runtime).load(folder, method.params)
    split = Split.read(split_json)
    test = split.test
    index = np.array([*report.validation, *test], dtype=np.int64)
    started = time.perf_counter()
    with Dataset(dataset_h5) as dataset, applying(folder):
        scored = _score_images(detector, dataset, index, map_size or dataset.image_size)
        cost = {
            "seconds": time.perf_counter() - started,
            "images": len(index),
            "peak_memory_mb": _peak_memory_mb(),
        }
        shown = np.flatnonzero(np.isin(index, localised(dataset.table, np.array(test))))
        saliency = detector.saliency(dataset.images(index[shown])) if len(shown) else None
        normals = sorted(set(report.validation) - set(split.validation_anomalous))
        synthetic = _score_defects(detector, dataset, normals, split.seed) if defects else None
    scored = _with_held_out(scored, detector, index)
    write_predictions(
        out_dir / "predictions.h5",
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
            saliency=_drawn(saliency, map_size or dataset.image_size),
            saliency_rows=shown,
            reconstruction_skill=report.reconstruction_skill,
            notes=tuple(report.notes),
            synthetic=synthetic,
        ),
    )
    write_json(out_dir / "scoring.json", cost)


def run_baseline(method: Method, job: Job, map_size: int) -> None:
    """Fit and score in one process, so that TensorFlow starts only once.

    Scores come from the saved model, loaded again, so they are those that `dualad score` gives.
    Leaves the files of `run_fit` and `run_score`, whose `map_size` this is.
    """
    run_fit(method, job)
    files = job.files
    run_score(method, files.dataset_h5, files.split_json, job.out_dir, job.runtime, map_size)


def rule_key(rule: Rule, runtime: Runtime) -> str:
    """Hash of a rule's parameters and of its inputs' names, sizes and times."""
    # An input is a path, or a list of paths.
    groups = [[value] if isinstance(value, str) else value for _, value in rule.input.items()]
    paths = [Path(path) for group in groups for path in group]
    states = [(str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in paths]
    values = [dict(rule.params.items()), runtime.threads, runtime.gpu, states]
    return hashlib.sha256(json.dumps(values, sort_keys=True, default=str).encode()).hexdigest()


def _require_training_images(method: Method, detector: Detector, experiment: Experiment) -> None:
    train, _ = experiment.split.attempt(1, experiment.seeds(method.params).numpy)
    if len(train) < detector.least_training_images:
        raise DualadError(
            f"{experiment.dataset.name}: the method {method.name!r} needs at least "
            f"{detector.least_training_images} normal images to train on, and the split leaves "
            f"{len(train)}; add normal images, or leave the method out for this dataset"
        )


def _reduced_to(method: Method, stage: Stage) -> Method:
    """The method with defaults for all parameters that do not affect a stage.

    The others then cannot decide whether the checkpoint of a killed job fits.
    """
    return resolve_methods({method.name: method.stage_params(stage)})[method.name]


def _score_images(detector: Detector, dataset: Dataset, index: Indices, map_size: int) -> Scored:
    """Scores of some of a dataset's images, with progress; maps of at most the given size."""
    parts = []
    with progress_bar("scoring", len(index), "image") as bar:
        for batch in dataset.batches(index, detector.scoring_batch):
            parts.append(_compact(detector.score(batch), map_size))
            bar.update(len(batch))
    return Scored.join(parts)


def _score_defects(
    detector: Detector, dataset: Dataset, normals: Sequence[int], seed: int
) -> SyntheticScores:
    """Scores of some normal images with synthetic defects (`dualad.data.synthetic`)."""
    # The order is the same for all methods, so that most of the images are, whatever else their
    # validation sets hold.
    order = np.random.default_rng(seed).permutation(dataset.n_images)
    chosen = order[np.isin(order, normals)][:MOST_WITH_DEFECTS]
    images = zip(chosen.tolist(), dataset.images(chosen), strict=True)
    defective = np.concatenate([with_defects(image, index, seed) for index, image in images])
    parts = [
        detector.scores(defective[start : start + detector.scoring_batch])
        for start in range(0, len(defective), detector.scoring_batch)
    ]
    return SyntheticScores(
        np.repeat(chosen, len(KINDS)),
        {name: np.concatenate([part[name] for part in parts]) for name in parts[0]},
    )


def _with_held_out(scored: Scored, detector: Detector, index: Indices) -> Scored:
    """Out-of-fold scores in place of those of images that the detector was fitted on."""
    held_out, name = detector.held_out, detector.default_score
    pairs = zip(index.tolist(), scored.scores[name].tolist(), strict=True)
    scores = np.array([held_out.get(row, score) for row, score in pairs], dtype=np.float64)
    return replace(scored, scores={**scored.scores, name: scores})


def _peak_memory_mb() -> float:
    """Largest resident memory of this process so far; Linux counts in KiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _compact(scored: Scored, map_size: int) -> Scored:
    """Nothing larger than the masks, and half precision for arrays that are only drawn."""
    return replace(
        scored,
        maps={name: _reduced(maps, map_size) for name, maps in scored.maps.items()},
        reconstruction=_drawn(scored.reconstruction, map_size),
    )


def _reduced(maps: FloatArray, size: int) -> FloatArray:
    if maps.shape[1] <= size:
        return maps
    return resized_maps(maps, (size, size))


def _drawn(images: npt.NDArray[np.floating] | None, size: int) -> npt.NDArray[np.float16] | None:
    if images is None:
        return None
    return _reduced(images.astype(np.float32), size).astype(np.float16)
