"""The tables and figures across datasets: each is declared here, in one entry, and nowhere else.

To add one, write a function that builds a `dualad.tables.formats.Table` or a Matplotlib figure, and
add an entry to `TABLES` or `FIGURES`. The entry names the function as text, because every
invocation of the workflow reads this file and nothing heavy may be imported here.
"""

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from dualad.design.experiments import Method, Sweep, sweep_stem
from dualad.design.targets import Design

Results = Literal[
    "experiments",
    "recommendations",
    "repeated",
    "encoders",
    "ablation",
    "batch_searches",
    "sweep",
    "nothing",
]
Argument = Literal[
    "paths",
    "runs",
    "results",
    "experiments",
    "optima",
    "law",
    "methods",
    "names",
    "image_size",
    "resamples",
    "confidence",
    "reference",
    "sweep_name",
    "sweep",
]

METHOD_MARK = "__"
"""Stands between a figure's name and the method that it shows: fig04_performance__dual."""


@dataclass(frozen=True)
class Product:
    """A table or a figure across datasets, as it is declared.

    Parameters
    ----------
    builder
        Its function, as `module:function`; imported in the job that makes it, and only there.
    arguments
        What the function gets, in order: `paths`, the paths of the results; what is read from them,
        which is `runs` (`dualad.results.runs.read_runs`), `results` and `experiments`
        (`dualad.figures.inputs`), `optima` (`dualad.results.batch_search`), `law`
        (`dualad.paper.batch_law`) or `sweep` (`dualad.figures.sweeps.read_sweep`); or what the
        configuration says, which is `methods`, `names` (of the first runs), `image_size` or
        `sweep_name`.
    options
        Constant keyword arguments of the function.
    keywords
        Arguments that the function gets by keyword: the evaluator's `resamples` and `confidence`,
        and the name of the `reference` method.
    title
        Its title in the report; made of its name if empty.
    results
        The results that it shows: the metrics of all `experiments`, of the `repeated` methods, or
        of the methods of the comparison `encoders` or `ablation`; the `recommendations`, one per
        dataset; the outcomes of Algorithm 1 (`batch_searches`); the folders of a `sweep`; or
        `nothing`.
    files
        Names of further files that are read from the folders of the results, or of the candidates
        of recommendations, where they exist.
    per_method
        Whether there is one for each featured method, which shows the results of that method alone.
    pictures
        Whether images and all that a method's figures are drawn from are read as well.
    always
        Whether it is made even if the configuration has none of its results.
    """

    builder: str
    arguments: tuple[Argument, ...]
    options: Mapping[str, Any] = field(default_factory=dict)
    keywords: tuple[Argument, ...] = ()
    title: str = ""
    results: Results = "experiments"
    files: tuple[str, ...] = ()
    per_method: bool = False
    pictures: bool = False
    always: bool = False

    @property
    def module(self) -> str:
        """The module of the function."""
        return self.builder.partition(":")[0]

    def build(self, sources: Mapping[str, Callable[[], Any]]) -> Any:
        """Call the function.

        Parameters
        ----------
        sources
            Functions that return the arguments, by the argument's name; those that the function
            does not get are not called.

        Returns
        -------
        What the function returned: a table or a figure.
        """
        module, _, function = self.builder.partition(":")
        arguments = [sources[argument]() for argument in self.arguments]
        keywords = {keyword: sources[keyword]() for keyword in self.keywords}
        built = getattr(importlib.import_module(module), function)
        return built(*arguments, **keywords, **self.options)


TABLES: dict[str, Product] = {
    "table04_05_batch_search": Product(
        "dualad.tables.batch_search:batch_search_table",
        ("paths",),
        title="Tables 4, 5: Algorithm 1",
        results="batch_searches",
        files=("evaluations.csv",),
        always=True,
    ),
    "table06_performance": Product(
        "dualad.tables.performance:performance_table", ("runs",), title="Table 6: performance"
    ),
    "differences": Product(
        "dualad.tables.differences:differences_table",
        ("runs",),
        keywords=("reference", "resamples", "confidence"),
        title="Table 6: differences",
        files=("scores.csv",),
    ),
    "table07_methods": Product(
        "dualad.tables.methods:methods_table",
        ("methods", "image_size"),
        title="Table 7: methods",
        results="nothing",
        always=True,
    ),
    "table08_encoders": Product(
        "dualad.tables.encoders:encoders_table",
        ("runs", "names"),
        title="Table 8: encoders",
        results="encoders",
    ),
    "table09_ablation": Product(
        "dualad.tables.ablation:ablation_table",
        ("runs", "names"),
        keywords=("resamples", "confidence"),
        title="Table 9: ablation",
        results="ablation",
        files=("scores.csv", "threshold.json"),
    ),
    "table10_calibration": Product(
        "dualad.tables.calibration:calibration_table", ("runs",), title="Table 10: calibration"
    ),
    "reproducibility": Product(
        "dualad.tables.reproducibility:reproducibility_table",
        ("runs",),
        title="spread over seeds",
        files=("threshold.json",),
    ),
    "recommended": Product(
        "dualad.tables.recommended:recommended_table",
        ("paths",),
        keywords=("resamples", "confidence"),
        title="recommended methods",
        results="recommendations",
        files=("metrics.json", "scores.csv"),
    ),
    "ranks": Product("dualad.tables.ranking:ranks_table", ("runs",)),
    "costs": Product(
        "dualad.tables.cost:costs_table",
        ("runs",),
        files=("fit.json", "scoring.json", "threshold.json", "search/trials.csv"),
    ),
    "batch_law": Product(
        "dualad.tables.batch_law:batch_law_table",
        ("optima",),
        title="Fig. 2: batch sizes",
        results="batch_searches",
    ),
}

FIGURES: dict[str, Product] = {
    "fig02_batch_law": Product(
        "dualad.figures.batch_law:batch_law_figure", ("optima", "law"), results="batch_searches"
    ),
    "fig04_performance": Product(
        "dualad.figures.performance:performance_across_figure",
        ("experiments",),
        per_method=True,
        pictures=True,
    ),
    "auroc_overview": Product("dualad.figures.overview:auroc_overview_figure", ("results",)),
    "fig05_heatmaps": Product("dualad.figures.heatmaps:metrics_figure", ("results",)),
    "fig06_bubbles": Product("dualad.figures.trade_offs:bubbles_figure", ("results",)),
    "fig11_localisation": Product(
        "dualad.figures.pictures:localisation_across_figure",
        ("experiments",),
        per_method=True,
        pictures=True,
    ),
    "fig12_false_positives": Product(
        "dualad.figures.pictures:mistakes_across_figure",
        ("experiments",),
        {"label": 0},
        per_method=True,
        pictures=True,
    ),
    "fig13_false_negatives": Product(
        "dualad.figures.pictures:mistakes_across_figure",
        ("experiments",),
        {"label": 1},
        per_method=True,
        pictures=True,
    ),
    "critical_difference": Product(
        "dualad.figures.critical_difference:critical_difference_figure", ("results",)
    ),
    "costs": Product(
        "dualad.figures.trade_offs:costs_figure",
        ("results",),
        files=("fit.json", "scoring.json", "threshold.json", "search/trials.csv"),
    ),
    "repeats": Product(
        "dualad.figures.repeats:repeats_figure",
        ("results",),
        results="repeated",
        files=("threshold.json",),
    ),
}

SWEEP_FIGURE = Product(
    "dualad.figures.sweeps:sweep_figure", ("sweep_name", "sweep"), results="sweep"
)
"""The figure of every sweep, under the name that `sweep_stem` gives it."""


@dataclass(frozen=True)
class Target:
    """A table or figure that a configuration asks for.

    Parameters
    ----------
    name
        Name of its files without suffix.
    product
        Its declaration.
    results
        Paths of the results that it shows, whether they exist or not; what is missing is a gap.
    files
        Paths of what else is read, but for the descriptions of the datasets.
    methods
        The methods whose parameters it shows or compares, by name.
    sweep
        The sweep that it shows.
    """

    name: str
    product: Product
    results: list[str]
    files: list[str]
    methods: Mapping[str, Method] = field(default_factory=dict)
    sweep: Sweep | None = None

    @property
    def title(self) -> str:
        """Its title in the report."""
        return self.product.title or self.name

    @property
    def sweep_values(self) -> list[Any] | None:
        """Name, key, datasets and names of the values of its sweep."""
        if self.sweep is None:
            return None
        return [
            self.sweep.name,
            self.sweep.factor,
            list(self.sweep.datasets),
            list(self.sweep.points),
        ]


def figure_labels(figure: str) -> dict[str, str]:
    """Labels in the report of a figure with a name such as training_curves__dual."""
    name, _, method = figure.partition(METHOD_MARK)
    return {"figure": name.replace("_", " "), "method": method or "(all)"}


def table_targets(design: Design) -> dict[str, Target]:
    """The tables that a configuration asks for, by name."""
    targets = (_target(design, name, product) for name, product in TABLES.items())
    return _asked_for(targets)


def figure_targets(design: Design) -> dict[str, Target]:
    """The figures across datasets that a configuration asks for, by the names of their files."""
    across = (
        _target(design, name, product)
        for name, product in FIGURES.items()
        if not product.per_method
    )
    of_methods = (
        _method_target(design, name, product, method)
        for name, product in FIGURES.items()
        if product.per_method
        for method in design.featured
    )
    of_sweeps = (
        Target(sweep_stem(name), SWEEP_FIGURE, design.sweep_folders([name]), [], sweep=sweep)
        for name, sweep in design.sweeps.items()
    )
    return _asked_for((*across, *of_sweeps, *of_methods))


def _asked_for(targets: Any) -> dict[str, Target]:
    return {target.name: target for target in targets if target.results or target.product.always}


def _target(design: Design, name: str, product: Product) -> Target:
    results = _results(design, product.results)
    return Target(
        name, product, results, _files(design, product, results), _methods(design, product)
    )


def _method_target(design: Design, name: str, product: Product, method: str) -> Target:
    datasets = [dataset for dataset, run_on in design.experiments if run_on == method]
    images = [f"results/{dataset}/dataset.h5" for dataset in datasets]
    files = [*images, *design.files(design.drawn_files, [method])] if product.pictures else []
    return Target(f"{name}{METHOD_MARK}{method}", product, design.metrics_files([method]), files)


def _results(design: Design, results: Results) -> list[str]:
    match results:
        case "experiments":
            return design.metrics_files()
        case "repeated":
            return design.metrics_files(design.repeated)
        case "encoders" | "ablation":
            return _comparison(design, results)
        case "recommendations":
            return design.recommendation_files()
        case "batch_searches":
            return design.batch_search_files()
        case _:
            return []


def _compared(design: Design, comparison: str) -> list[str]:
    """Names of the methods of a comparison, their repeats too."""
    return [name for name, method in design.methods.items() if comparison in method.tables]


def _comparison(design: Design, comparison: str) -> list[str]:
    """Metrics of a comparison, of the datasets on which it has more than its first method."""
    names = _compared(design, comparison)
    datasets = {
        dataset
        for dataset, name in design.experiments
        if name in names and design.methods[name].base != names[0]
    }
    return [path for path in design.metrics_files(names) if path.split("/")[1] in datasets]


def _files(design: Design, product: Product, results: list[str]) -> list[str]:
    if product.results == "recommendations":
        return design.candidate_files(product.files)
    paths = []
    for path in results:
        folder = path.rpartition("/")[0]
        method = folder.rpartition("/")[2]
        left = design.method_files(method) if method in design.methods else product.files
        paths += [f"{folder}/{file}" for file in product.files if file in left]
    return paths


def _methods(design: Design, product: Product) -> dict[str, Method]:
    if "methods" in product.arguments:
        return {name: design.methods[name] for name in design.first_runs}
    if product.results in ("encoders", "ablation"):
        return {name: design.methods[name] for name in _compared(design, product.results)}
    return {}
