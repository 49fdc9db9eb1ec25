import os
import re
import sys
from dataclasses import asdict
from pathlib import Path

# Jobs inherit this, so the package need not be installed, in a conda environment neither.
SOURCE = str(Path(workflow.basedir) / "src")
sys.path.insert(0, SOURCE)
os.environ.update(PYTHONPATH=os.pathsep.join(filter(None, [SOURCE, os.environ.get("PYTHONPATH")])))

from dualad.design.schema import complete_config
from dualad.errors import DualadError
from dualad.design.experiments import (
    REPEAT_MARK,
    resolve_batch_search,
    resolve_methods,
    resolve_sweeps,
    stage_owner,
    sweep_stem,
)
from dualad.design.families import ATTEMPTS
from dualad.fingerprints import folder_fingerprint, source_fingerprint
from snakemake.exceptions import WorkflowError

# The configuration, checked and complete. Of pandas, TensorFlow and the like nothing is imported
# here: every invocation and every cluster job parses this file.
try:
    config = complete_config(config)
    DATASETS = config["datasets"]
    METHODS = resolve_methods(config["methods"], config["defaults"], DATASETS)
    SWEEPS = resolve_sweeps(config["sweeps"], METHODS, DATASETS)
    BATCH_SEARCH = resolve_batch_search(config["batch_search"], METHODS, DATASETS)
except DualadError as error:
    raise WorkflowError(str(error)) from None

# The design: every pair of a dataset and a method that is to be judged.
EXPERIMENTS = [
    (dataset, name)
    for dataset in DATASETS
    for name, method in METHODS.items()
    if method.runs_on(dataset)
]
FIRST_RUNS = [name for name, method in METHODS.items() if name == method.base]
BASELINES = {method.family for method in METHODS.values() if method.about.kind == "baseline"}
COMPUTE = config["compute"]
ENVIRONMENT = f"../../envs/{COMPUTE['environment']}.yaml"

# Keys of a dataset's entry that decide about the split alone.
SPLIT_KEYS = ("protocol", "test_fraction", "validation_fraction", "split_seed")


# ---- what reruns when code changes ----
# Snakemake sees changes of files, parameters and scripts, not of what a script imports. So the
# rules have a parameter `code`, a fingerprint of the modules of the package that they use, found by
# following imports. Comments and docstrings do not count. Once the images are cached, only the
# module that reads the cache counts; of what a detector imports, only the rule's own part.
def code(*modules, without=()):
    """Fingerprint of what the modules do with a cached dataset."""
    return source_fingerprint("dualad.data.dataset", *modules, without=frozenset(without))


SCORING_ONLY = [
    "dualad.network.saliency",
    "dualad.network.monte_carlo",
    "dualad.evaluation.predictions",
]
NETWORK = ["dualad.methods.jobs", "dualad.methods.dual_autoencoder"]
CONTROLS = ["dualad.methods.jobs", "dualad.methods.controls"]
CODE = {
    "dataset": source_fingerprint("dualad.data.cache"),
    "download": source_fingerprint("dualad.data.download"),
    "plan": code("dualad.data.preparation"),
    "search": code(*NETWORK, without=["dualad.network.scores", *SCORING_ONLY]),
    "train": code(*NETWORK, without=["dualad.network.search", *SCORING_ONLY]),
    "score": code(*NETWORK, without=["dualad.network.search"]),
    "fit": code(*CONTROLS, without=SCORING_ONLY),
    "score_control": code(*CONTROLS),
    "evaluate": code("dualad.evaluation.evaluator"),
    "figures": code("dualad.figures.dataset"),
    "across": code("dualad.figures.across"),
    "tables": code("dualad.tables.named"),
    "paper": code("dualad.tables.audit", "dualad.tables.comparison", "dualad.figures.comparison"),
}


# ---- datasets ----


def download_entry(wildcards):
    """An entry that names the archive; several datasets may come from one."""
    entries = (
        entry
        for entry in DATASETS.values()
        if entry.get("download") == wildcards.archive and "path" not in entry
    )
    # Nothing else of the entry: a key of one dataset must not fetch the archive of all again.
    return {"reader": next(entries)["reader"], "download": wildcards.archive}


def download_record(wildcards):
    """The record that a download leaves, for a dataset that is downloaded."""
    entry = DATASETS[wildcards.dataset]
    downloaded = "download" in entry and "path" not in entry
    return [f"resources/{entry['download']}.json"] if downloaded else []


def data_keys(entry):
    """The keys of an entry that decide about the images."""
    return {key: value for key, value in entry.items() if key not in (*SPLIT_KEYS, "paper_name")}


def data_entry(wildcards):
    """What of a dataset's entry decides about its images."""
    return data_keys(DATASETS[wildcards.dataset])


def split_entry(wildcards):
    """What of a dataset's entry decides about the split alone."""
    entry = DATASETS[wildcards.dataset]
    return {key: entry[key] for key in SPLIT_KEYS if key in entry}


def source_state(wildcards):
    """A fingerprint of a dataset's files where the user keeps them."""
    name = wildcards.dataset
    path = DATASETS[name].get("path")
    if not path:
        return "no files of the user's"
    if not Path(path).expanduser().exists() and Path(f"results/{name}/dataset.h5").exists():
        # A job that fails for it would first delete what was cached from it.
        raise WorkflowError(
            f"datasets.{name}.path: {path} is gone, results of it are there: put the data back "
            "or correct the path"
        )
    return folder_fingerprint(Path(path).expanduser())


# ---- methods ----


def kind(name):
    """Whether a method is dual (searched, trained, scored), a baseline or a control."""
    return METHODS[name].about.kind


def is_dual(name):
    """Whether a method has a dual autoencoder."""
    return kind(name) == "dual"


def images_file(wildcards):
    """The cache of the images as a method sees them: gray, or in colour at its own size."""
    size = METHODS[wildcards.method].input_size
    return f"results/{wildcards.dataset}/{f'colour{size}' if size else 'dataset'}.h5"


def stage_files(name):
    """What each stage of a method leaves in its folder."""
    method = METHODS[name]
    attempts = ATTEMPTS if is_dual(name) else ()
    search = {"search": ["search/trials.csv", "search/best.json"]}
    return {
        **(search if method.tunes_dropout else {}),
        "train": [*method.about.model_files, *attempts, "fit.json"],
        "score": ["predictions.h5", "scoring.json"],
    }


def method_files(name):
    """All that a method leaves in its folder."""
    staged = [file for files in stage_files(name).values() for file in files]
    return [*staged, "scores.csv", "threshold.json", "metrics.json"]


def experiment_files(files_of, dataset=None, methods=METHODS):
    """Paths of the files that `files_of` names for a method: of one dataset, or of all."""
    return [
        f"results/{of}/{name}/{file}"
        for of, name in EXPERIMENTS
        if dataset in (None, of) and name in methods
        for file in files_of(name)
    ]


def there(paths):
    """The paths; with `allow_gaps`, those of files that are there: nothing else is asked for."""
    return [path for path in paths if Path(path).exists()] if config["allow_gaps"] else paths


def judged(names=METHODS):
    """Paths of the metrics of the named methods on all of their datasets."""
    return experiment_files(lambda name: ["metrics.json"], methods=names)


def owners(stage, *kinds):
    """Names of the methods of these kinds, or families, for which a stage is computed."""
    return [
        name
        for name in METHODS
        if {kind(name), METHODS[name].family} & set(kinds)
        and stage in stage_files(name)
        and stage_owner(METHODS, name, stage) == name
    ]


def sharers(stage):
    """Names of the methods that get a stage's files from its owner."""
    return [
        name
        for name in METHODS
        if stage in stage_files(name) and stage_owner(METHODS, name, stage) != name
    ]


def owned_file(stage):
    """An input function: the same file in the folder of the stage's owner."""

    def owned(wildcards):
        owner = stage_owner(METHODS, wildcards.method, stage)
        return f"results/{wildcards.dataset}/{owner}/{wildcards.file}"

    return owned


def stage_params(stage):
    """A params function: the parameters that can change what the stage computes."""
    return lambda wildcards: METHODS[wildcards.method].stage_params(stage)


def method_params(method):
    """A method's family and all of its parameters, as plain values."""
    return {"family": method.family, **asdict(method.params)}


def all_params(wildcards):
    """The same, for the method of the wildcard."""
    return method_params(METHODS[wildcards.method])


def fitted_files(wildcards):
    """The fitted model of a method, and its description."""
    files = (*METHODS[wildcards.method].about.model_files, "fit.json")
    return [f"results/{wildcards.dataset}/{wildcards.method}/{file}" for file in files]


def search_result(wildcards):
    """The outcome of the search, for a method that has one."""
    folder = f"results/{wildcards.dataset}/{wildcards.method}"
    return f"{folder}/search/best.json" if METHODS[wildcards.method].tunes_dropout else []


def baseline_code(wildcards):
    """The fingerprint of what fits and scores a baseline."""
    return code("dualad.methods.jobs", f"dualad.methods.{METHODS[wildcards.method].about.module}")


def score_code(wildcards):
    """The fingerprint of what scores a method."""
    return CODE["score" if is_dual(wildcards.method) else "score_control"]


# The number of threads changes the last digits of a result, and `threads:` shrinks with --cores. So
# networks get their number of threads as a parameter, whatever --cores is, and controls get one.
def network_threads(wildcards):
    """Threads for a method with a network; a control has one."""
    return COMPUTE["threads"] if is_dual(wildcards.method) else 1


def score_gpu(wildcards):
    """GPUs that scoring a method asks for."""
    return COMPUTE["gpu"] if is_dual(wildcards.method) else 0


def baseline_outputs(family):
    """What fitting and scoring a baseline leaves, with dataset and method as wildcards."""
    name = owners("train", family)[0]
    stages = stage_files(name)
    return [f"results/{{dataset}}/{{method}}/{f}" for f in (*stages["train"], *stages["score"])]


def own_files_state(method):
    """Fingerprints of files of the user's that a method reads: weights, or its own code."""
    keys = ("weights", "module")
    paths = (Path(getattr(method.params, key, "")).expanduser() for key in keys)
    return [folder_fingerprint(path) for path in paths if path.is_file()]


# ---- studies ----


def study_search(design):
    """The outcome of the search whose dropout rates a study trains with, if it does."""
    if not design.needs_search:
        return []
    owner = stage_owner(METHODS, design.base.name, "search")
    return f"results/{{dataset}}/{owner}/search/best.json"


def study_code(design):
    """The fingerprint of what trains and judges the values of a study."""
    own = f"dualad.methods.{design.base.about.module}"
    return code(
        "dualad.methods.studies", "dualad.methods.jobs", own, without=["dualad.network.search"]
    )


def point_params(sweep):
    """Everything that decides about a sweep's values: parameters by the values' names."""
    return {label: method_params(point) for label, point in SWEEPS[sweep].points.items()}


def sweep_folders(names=None):
    """Folders of the named sweeps, or of all."""
    return [
        f"results/{dataset}/sweeps/{name}"
        for name, sweep in SWEEPS.items()
        if names is None or name in names
        for dataset in sweep.datasets
    ]


def batch_searches():
    """Outcomes of Algorithm 1."""
    datasets = BATCH_SEARCH.datasets if BATCH_SEARCH else ()
    return [f"results/{dataset}/batch_search/result.json" for dataset in datasets]


# ---- figures ----


def drawn_files(name):
    """What a method's figures are drawn from."""
    not_drawn = {*METHODS[name].about.model_files, "best.json"}
    return [file for file in method_files(name) if Path(file).name not in not_drawn]


def families_on(dataset):
    """Families of the methods that run on a dataset, by name; repeats are left out."""
    return {
        name: METHODS[name].family
        for of, name in EXPERIMENTS
        if of == dataset and name in FIRST_RUNS and there([f"results/{of}/{name}/metrics.json"])
    }


def dataset_families(wildcards):
    """The same, for the dataset of the wildcard."""
    return families_on(wildcards.dataset)


def method_labels(figure):
    """Labels in the report of a figure called like training_curves__dual."""
    name, _, method = figure.partition("__")
    return {"figure": name.replace("_", " "), "method": method or "(all)"}


def figure_labels(wildcards):
    """The same, for a figure of one dataset."""
    return method_labels(wildcards.figure)


# ---- tables and figures across datasets ----


def compared(table):
    """Names of the methods of a comparison, their repeats too."""
    return [name for name, method in METHODS.items() if table in method.tables]


def on_compared_datasets(table, paths):
    """Those of the paths that are of datasets on which the comparison has more than one method."""
    names = compared(table)
    shared = {of for of, name in EXPERIMENTS if name in names and METHODS[name].base != names[0]}
    return [path for path in paths if Path(path).parts[1] in shared]


def comparison(table):
    """The table's entry in `TABLES`; nothing where there is nothing to compare."""
    results = on_compared_datasets(table, judged(compared(table)))
    names = {"encoders": "table08_encoders", "ablation": "table09_ablation"}
    return {names[table]: results} if results else {}


def beside(*wanted, methods=METHODS):
    """Paths of these files of the named methods, where they have them."""
    return experiment_files(
        lambda name: [file for file in method_files(name) if file in wanted], methods=methods
    )


def pictured(name):
    """Paths of what the figures of one method on every dataset are drawn from."""
    datasets = [dataset for dataset, method in EXPERIMENTS if method == name]
    caches = collect("results/{dataset}/dataset.h5", dataset=datasets)
    return [*caches, *experiment_files(drawn_files, methods=[name])]


# Figures of one method on every dataset, and the methods that get them.
METHOD_FIGURES = (
    "fig04_performance",
    "fig11_localisation",
    "fig12_false_positives",
    "fig13_false_negatives",
)
SHOWN = [name for name in ("dual", "dual_plus") if name in METHODS] or list(METHODS)[:1]
REPEATED = [name for name, method in METHODS.items() if f"{method.base}{REPEAT_MARK}1" in METHODS]

# The results that each table and figure shows. What the configuration lacks is left out.
TABLES = {
    "table04_05_batch_search": batch_searches(),
    "table06_performance": judged(),
    "table07_methods": [],
    **comparison("encoders"),
    **comparison("ablation"),
    "table10_calibration": judged(),
    "reproducibility": judged(),
    "ranks": judged(),
    "costs": judged(),
    **({"batch_law": batch_searches()} if BATCH_SEARCH else {}),
}
FIGURES = {
    **({"fig02_batch_law": batch_searches()} if BATCH_SEARCH else {}),
    "auroc_overview": judged(),
    "fig05_heatmaps": judged(),
    "fig06_bubbles": judged(),
    **{sweep_stem(name): sweep_folders([name]) for name in SWEEPS},
    **{f"{figure}__{name}": judged([name]) for figure in METHOD_FIGURES for name in SHOWN},
    "critical_difference": judged(),
    "costs": judged(),
    **({"repeats": judged(REPEATED)} if REPEATED else {}),
}
# What is read beside them.
BESIDE = {
    "table04_05_batch_search": [
        path.replace("result.json", "evaluations.csv") for path in batch_searches()
    ],
    "table09_ablation": on_compared_datasets(
        "ablation", beside("scores.csv", "threshold.json", methods=compared("ablation"))
    ),
    "reproducibility": beside("threshold.json"),
    "costs": beside("fit.json", "scoring.json", "threshold.json", "search/trials.csv"),
    "repeats": beside("threshold.json", methods=REPEATED),
    **{f"{figure}__{name}": pictured(name) for figure in METHOD_FIGURES for name in SHOWN},
}


def dataset_notes(results):
    """Paths of the descriptions of the datasets that these results are of."""
    names = dict.fromkeys(Path(path).parts[1] for path in results)
    return collect("results/{dataset}/dataset.json", dataset=names)


TABLE_TITLES = {
    "table04_05_batch_search": "Tables 4, 5: Algorithm 1",
    "table06_performance": "Table 6: performance",
    "table07_methods": "Table 7: methods",
    "table08_encoders": "Table 8: encoders",
    "table09_ablation": "Table 9: ablation",
    "table10_calibration": "Table 10: calibration",
    "reproducibility": "spread over seeds",
    "batch_law": "Fig. 2: batch sizes",
}


def table_title(table):
    """Title of a table in the report."""
    return TABLE_TITLES.get(table, table)


def compared_methods(table):
    """Parameters of the methods that a table compares, by name; all but for Tables 8 and 9."""
    comparison = {"table08_encoders": "encoders", "table09_ablation": "ablation"}.get(table)
    names = compared(comparison) if comparison else METHODS
    return {name: method_params(METHODS[name]) for name in names}


def method_texts(table):
    """What Table 7 says of the methods' families: the fingerprint of code passes over its text."""
    return [str(METHODS[name].about) for name in FIRST_RUNS] if table == "table07_methods" else []


def sweep_of(figure):
    """Name, key, datasets and values of the sweep that a figure shows; None for other figures."""
    for name, sweep in SWEEPS.items():
        if sweep_stem(name) == figure:
            return [name, sweep.factor, list(sweep.datasets), list(sweep.points)]
    return None


# ---- wildcards ----


def any_of(names):
    """A regular expression for any of the names; it matches nothing if there are none."""
    return "|".join(map(re.escape, names)) or "(?!)"


wildcard_constraints:
    dataset=any_of(DATASETS),
    method=any_of(METHODS),
    archive="[a-z0-9_]+",
    size=r"\d+",
    sweep=any_of(SWEEPS),
