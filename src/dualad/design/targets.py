"""The design of a configuration, and the files that its experiments read and leave.

Everything here is a function of the complete configuration and returns plain paths, relative to the
working directory. The workflow's rules ask for them; nothing here knows Snakemake.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from dualad.design.datasets import keys_of
from dualad.design.experiments import (
    REPEAT_MARK,
    BatchSearchDesign,
    Method,
    Sweep,
    check_semi_supervised,
    network_owner,
    resolve_batch_search,
    resolve_methods,
    resolve_sweeps,
    stage_owner,
)
from dualad.design.families import ATTEMPTS, SEMI_SUPERVISED
from dualad.design.keys import Stage
from dualad.design.parameters import RULES_ON_NORMALS
from dualad.errors import DualadError
from dualad.files import relative_to_here
from dualad.fingerprints import folder_fingerprint

_JUDGEMENT = ("scores.csv", "threshold.json", "metrics.json")


@dataclass(frozen=True)
class Design:
    """What a configuration asks for: datasets, methods, studies, and their files.

    Parameters
    ----------
    datasets
        The entries of the configuration's section `datasets`, by name.
    methods
        All methods by name, their repeats (dual@1) among them.
    sweeps
        All sweeps by name.
    batch_search
        Algorithm 1, if the configuration asks for it.
    image_size
        Side of the gray images, in pixels.
    allow_gaps
        Whether tables and figures are made of what exists, without what is missing.
    reference
        Name of the method that the table of differences compares all others with, if any.
    """

    datasets: Mapping[str, Mapping[str, Any]]
    methods: Mapping[str, Method]
    sweeps: Mapping[str, Sweep]
    batch_search: BatchSearchDesign | None
    image_size: int
    allow_gaps: bool
    reference: str | None = None

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> "Design":
        """Read a complete configuration.

        Parameters
        ----------
        config
            What `dualad.design.schema.complete_config` returned, which in the workflow's scripts is
            `snakemake.config`.

        Raises
        ------
        DualadError
            If a method or study refers to what does not exist; the message names the key.
        """
        datasets = config["datasets"]
        methods = resolve_methods(config["methods"], config["defaults"], datasets)
        check_semi_supervised(methods)
        return cls(
            datasets,
            methods,
            resolve_sweeps(config["sweeps"], methods, datasets),
            resolve_batch_search(config["batch_search"], methods, datasets),
            config["image_size"],
            config["allow_gaps"],
            _reference(config["reference"], methods),
        )

    @cached_property
    def experiments(self) -> list[tuple[str, str]]:
        """Every pair of a dataset and a method that is to be evaluated, as names."""
        return [
            (dataset, name)
            for dataset in self.datasets
            for name, method in self.methods.items()
            if method.runs_on(dataset)
        ]

    @property
    def first_runs(self) -> list[str]:
        """Names of the methods without their repeats."""
        return [name for name, method in self.methods.items() if name == method.base]

    @property
    def families(self) -> dict[str, str]:
        """Families of the methods without their repeats, by name, in the configuration's order."""
        return {name: self.methods[name].family for name in self.first_runs}

    @property
    def repeated(self) -> list[str]:
        """Names of the methods that are repeated, and of their repeats."""
        return [
            name
            for name, method in self.methods.items()
            if f"{method.base}{REPEAT_MARK}1" in self.methods
        ]

    @property
    def featured(self) -> list[str]:
        """Names of the methods that have figures across datasets of their own.

        They are `dual`, `dual_plus` and `dual_features`; a configuration without any of these
        features its first method.
        """
        wanted = ("dual", "dual_plus", "dual_features")
        return [name for name in wanted if name in self.methods] or [next(iter(self.methods))]

    @property
    def fitted_at_once(self) -> list[str]:
        """Names of the families that are used and fit and score in one job, sorted."""
        return sorted(
            {
                method.family
                for method in self.methods.values()
                if method.about.kind in ("baseline", SEMI_SUPERVISED)
            }
        )

    @property
    def paper_names(self) -> dict[str, str]:
        """Names in the paper of the datasets that have one, by the name of the dataset."""
        return {
            name: entry["paper_name"]
            for name, entry in self.datasets.items()
            if entry.get("paper_name")
        }

    # ---- datasets ----

    def archive_entry(self, archive: str) -> dict[str, str]:
        """The keys of a dataset's entry that decide about the download of an archive.

        Other keys are left out: several datasets may come from one archive, and a key of one of
        them must not fetch it again for all.
        """
        reader = next(
            entry["reader"] for entry in self.datasets.values() if entry.get("download") == archive
        )
        return {"reader": reader, "download": archive}

    def download_record(self, dataset: str) -> list[str]:
        """Path of the record that a download leaves; empty if the dataset is not downloaded."""
        entry = self.datasets[dataset]
        return [f"resources/{entry['download']}.json"] if "download" in entry else []

    def image_keys(self, dataset: str) -> dict[str, Any]:
        """The keys of a dataset's entry that decide about its images."""
        others = {*keys_of("split"), *keys_of("report")}
        entry = self.datasets[dataset]
        return {key: value for key, value in entry.items() if key not in others}

    def split_keys(self, dataset: str) -> dict[str, Any]:
        """The keys of a dataset's entry that decide about its split alone."""
        entry = self.datasets[dataset]
        return {key: entry[key] for key in keys_of("split") if key in entry}

    def threshold_rules(self, dataset: str) -> list[str]:
        """Threshold rules of a dataset's methods that need anomalous validation images.

        Without them such a method fails after training, so the plan refuses it before. Where gaps
        are allowed, the list is empty, as the other methods are to go on.
        """
        if self.allow_gaps:
            return []
        rules = {
            method.params.threshold.rule
            for method in self.methods.values()
            if method.runs_on(dataset)
        }
        return sorted(rules - set(RULES_ON_NORMALS))

    def validation_normals_needed(self, dataset: str) -> int:
        """Validation normals without which a conformal threshold on a dataset cannot be had.

        The plan refuses fewer, for the same reason and with the same exception as in
        `threshold_rules`.
        """
        needed = (
            method.params.threshold.normals_needed
            for method in self.methods.values()
            if method.runs_on(dataset) and not self.allow_gaps
        )
        return max(needed, default=0)

    def source_state(self, dataset: str) -> str:
        """Fingerprint of the names, sizes and times of a dataset's files where the user keeps them.

        Raises
        ------
        DualadError
            If the files are gone and results of them exist: the job that reads them would first
            delete what was cached.
        """
        path = self.datasets[dataset].get("path")
        if not path:
            return "no files of the user's"
        source = Path(path).expanduser()
        if not source.exists() and Path(f"results/{dataset}/dataset.h5").exists():
            raise DualadError(
                f"datasets.{dataset}.path: {path}{relative_to_here(source)} is gone, but results "
                "of it exist: put the data back or correct the path"
            )
        return folder_fingerprint(source)

    # ---- methods ----

    def is_dual(self, name: str) -> bool:
        """Whether a method is searched, trained and scored in jobs of their own."""
        return self.methods[name].about.kind == "dual"

    def images_file(self, dataset: str, name: str) -> str:
        """Path of the images as a method sees them: gray, or in colour at a size of its own."""
        size = self.methods[name].input_size
        return f"results/{dataset}/{f'colour{size}' if size else 'dataset'}.h5"

    def stage_files(self, name: str) -> dict[Stage, list[str]]:
        """Names of the files that each stage of a method leaves in the method's folder."""
        method = self.methods[name]
        attempts = ATTEMPTS if self.is_dual(name) else ()
        files: dict[Stage, list[str]] = {
            "train": [*method.about.model_files, *attempts, "fit.json"],
            "score": ["predictions.h5", "scoring.json"],
        }
        if method.tunes_dropout:
            files["search"] = ["search/trials.csv", "search/best.json"]
        return files

    def method_files(self, name: str) -> list[str]:
        """Names of all files that a method leaves in its folder."""
        staged = [file for files in self.stage_files(name).values() for file in files]
        return [*staged, *_JUDGEMENT]

    def drawn_files(self, name: str) -> list[str]:
        """Names of the files of a method that its figures are drawn from."""
        not_drawn = {*self.methods[name].about.model_files, "search/best.json"}
        return [file for file in self.method_files(name) if file not in not_drawn]

    def fitted_files(self, dataset: str, name: str) -> list[str]:
        """Paths of a method's fitted model and of its description, `fit.json`."""
        files = (*self.methods[name].about.model_files, "fit.json")
        return [f"results/{dataset}/{name}/{file}" for file in files]

    def search_result(self, dataset: str, name: str) -> str | list[str]:
        """Path of the outcome of a method's search; an empty list if the method has none."""
        found = self.methods[name].tunes_dropout
        return f"results/{dataset}/{name}/search/best.json" if found else []

    def network_files(self, dataset: str, name: str) -> list[str]:
        """Paths of the fitted method whose network a method uses; empty if it uses none."""
        owner = network_owner(self.methods, name)
        return [] if owner is None else self.fitted_files(dataset, owner)

    def files_at_once(self, family: str) -> list[str]:
        """Names of the files that fitting and scoring a family leave, in one job."""
        stages = self.stage_files(self.owners("train", [family])[0])
        return [*stages["train"], *stages["score"]]

    def files(
        self,
        files_of: Callable[[str], Iterable[str]],
        names: Collection[str] | None = None,
        dataset: str | None = None,
    ) -> list[str]:
        """Paths of files of experiments.

        Parameters
        ----------
        files_of
            Names of the files, given the name of a method.
        names
            Names of the methods; None for all.
        dataset
            Name of a dataset; None for all.
        """
        return [
            f"results/{run_on}/{name}/{file}"
            for run_on, name in self.experiments
            if dataset in (None, run_on) and (names is None or name in names)
            for file in files_of(name)
        ]

    def metrics_files(self, names: Collection[str] | None = None) -> list[str]:
        """Paths of the metrics of the named methods, or of all, on all of their datasets."""
        return self.files(lambda name: ["metrics.json"], names)

    def own_files_state(self, method: Method) -> list[str]:
        """Fingerprints of files of the user's that a method reads: weights, or its own code."""
        keys = ("weights", "module")
        paths = (Path(getattr(method.params, key, "")).expanduser() for key in keys)
        return [folder_fingerprint(path) for path in paths if path.is_file()]

    # ---- stages that methods share ----

    def owner(self, name: str, stage: Stage) -> str:
        """Name of the method that computes a stage for the named one."""
        return stage_owner(self.methods, name, stage)

    def owners(self, stage: Stage, kinds: Collection[str]) -> list[str]:
        """Names of the methods of these kinds or families for which a stage is computed."""
        return [
            name
            for name, method in self.methods.items()
            if {method.about.kind, method.family} & set(kinds)
            and stage in self.stage_files(name)
            and self.owner(name, stage) == name
        ]

    def sharers(self, stage: Stage) -> list[str]:
        """Names of the methods that get copies of a stage's files from the stage's owner."""
        return [
            name
            for name in self.methods
            if stage in self.stage_files(name) and self.owner(name, stage) != name
        ]

    def shared_files(self, stage: Stage) -> list[str]:
        """Names of the files that a stage leaves, whatever the method, sorted."""
        return sorted(
            {file for name in self.methods for file in self.stage_files(name).get(stage, [])}
        )

    # ---- recommendations ----

    def candidates(self, dataset: str) -> list[str]:
        """Names of the methods among which one is recommended for a dataset.

        Repeats are left out, and so are the variants in the comparisons `encoders` and `ablation`:
        these are there to show what a component is worth.
        """
        full = {
            table: next(name for name in self.first_runs if table in self.methods[name].tables)
            for name in self.first_runs
            for table in self.methods[name].tables
        }
        return [
            name
            for name in self.first_runs
            if self.methods[name].runs_on(dataset)
            and all(full[table] == name for table in self.methods[name].tables)
            and self.available([f"results/{dataset}/{name}/metrics.json"])
        ]

    def candidate_files(
        self, files: Iterable[str], datasets: Iterable[str] | None = None
    ) -> list[str]:
        """Paths of files of the candidates for a recommendation, on all datasets or on some."""
        return [
            f"results/{dataset}/{name}/{file}"
            for dataset in (self.datasets if datasets is None else datasets)
            for name in self.candidates(dataset)
            for file in files
        ]

    def recommendation_files(self) -> list[str]:
        """Paths of the recommendations, of datasets with anything to choose among."""
        return [
            f"results/{dataset}/recommended.json"
            for dataset in self.datasets
            if self.candidates(dataset)
        ]

    # ---- studies ----

    def study_search(self, study: Sweep | BatchSearchDesign) -> str | list[str]:
        """Path of the search whose rates a study trains with; an empty list if it needs none.

        The path has the wildcard `{dataset}` in it.
        """
        if not study.needs_search:
            return []
        return f"results/{{dataset}}/{self.owner(study.base.name, 'search')}/search/best.json"

    def sweep_folders(self, names: Collection[str] | None = None) -> list[str]:
        """Paths of the folders of the named sweeps, or of all."""
        return [
            f"results/{dataset}/sweeps/{name}"
            for name, sweep in self.sweeps.items()
            if names is None or name in names
            for dataset in sweep.datasets
        ]

    def batch_search_files(self) -> list[str]:
        """Paths of the outcomes of Algorithm 1."""
        datasets = self.batch_search.datasets if self.batch_search else ()
        return [f"results/{dataset}/batch_search/result.json" for dataset in datasets]

    # ---- what tables, figures and the report are made of ----

    def available(self, paths: Sequence[str]) -> list[str]:
        """The paths; with `allow_gaps`, only those of files that exist."""
        return [path for path in paths if not self.allow_gaps or Path(path).exists()]

    def drawn_paths(self, dataset: str) -> list[str]:
        """Paths of what the figures of a dataset are drawn from; repeats are left out."""
        return self.available(self.files(self.drawn_files, self.first_runs, dataset))

    def drawn_families(self, dataset: str, paths: Collection[str]) -> dict[str, str]:
        """Families of the methods on a dataset whose metrics are among the paths, by name."""
        return {
            name: self.methods[name].family
            for name in self.first_runs
            if f"results/{dataset}/{name}/metrics.json" in paths
        }

    def figure_folders(self) -> list[str]:
        """Paths of the folders of the datasets' figures, of datasets with anything to draw."""
        return [
            f"results/{dataset}/figures"
            for dataset in self.datasets
            if self.drawn_families(dataset, self.drawn_paths(dataset))
        ]

    def gallery_inputs(self, dataset: str) -> dict[str, list[str]]:
        """Paths of what the galleries of a dataset are made from; repeats are left out."""
        judged = self.available(
            self.files(lambda name: ["predictions.h5", *_JUDGEMENT], self.first_runs, dataset)
        )
        images = {
            self.images_file(dataset, name): None for name in self.drawn_families(dataset, judged)
        }
        return {
            "methods": judged,
            "images": [path for path in images if path != f"results/{dataset}/dataset.h5"],
        }

    def galleries(self, dataset: str) -> dict[str, str]:
        """Paths of the galleries of a dataset, by method."""
        judged = self.gallery_inputs(dataset)["methods"]
        return {
            name: f"results/{dataset}/{name}/gallery.html"
            for name in self.drawn_families(dataset, judged)
        }

    def index_inputs(self) -> dict[str, list[str]]:
        """Paths of what the page of all results is made from, but for tables and the paper's."""
        datasets = [
            f"results/{dataset}/{file}"
            for dataset in self.datasets
            for file in ("dataset.json", "shift.json", "plan.json")
        ]
        return {
            "metrics": self.available(self.metrics_files()),
            "attempts": self.available(
                self.files(lambda name: ATTEMPTS[:1] if self.is_dual(name) else (), self.first_runs)
            ),
            "datasets": self.available(datasets),
            "recommended": self.recommendation_files(),
            "galleries": [
                path for dataset in self.datasets for path in self.galleries(dataset).values()
            ],
            "candidates": self.candidate_files(("predictions.h5", *_JUDGEMENT)),
            "images": [
                path
                for dataset in self.datasets
                if self.candidates(dataset)
                for path in (
                    f"results/{dataset}/dataset.h5",
                    *self.gallery_inputs(dataset)["images"],
                )
            ],
            "figures": self.figure_folders(),
        }

    def result_files(self) -> list[str]:
        """Paths of everything that experiments and studies leave."""
        return self.available(
            [*self.files(self.method_files), *self.sweep_folders(), *self.batch_search_files()]
        )

    def description_files(self, results: Iterable[str]) -> list[str]:
        """Paths of what the notes on datasets are read from, of the datasets of some results."""
        datasets = dict.fromkeys(Path(path).parts[1] for path in results)
        return self.available(
            [
                f"results/{dataset}/{file}"
                for dataset in datasets
                for file in ("dataset.json", "shift.json")
            ]
        )


def _reference(name: str | None, methods: Mapping[str, Method]) -> str | None:
    """The method to compare with: the named one, else the first of the family `padim`."""
    known = [method.name for method in methods.values() if method.name == method.base]
    if name is None:
        return next((other for other in known if methods[other].family == "padim"), None)
    if name not in known:
        raise DualadError(f"reference: no method {name!r}; choose one of {', '.join(known)}")
    return name


def method_values(method: Method) -> dict[str, Any]:
    """A method's family and all of its parameters, as plain values."""
    return {"family": method.family, **asdict(method.params)}
