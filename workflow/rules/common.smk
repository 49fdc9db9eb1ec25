import os
import re
import sys
from dataclasses import asdict
from pathlib import Path

# Jobs inherit this, so the package need not be installed, in a conda environment neither.
SOURCE = str(Path(workflow.basedir) / "src")
sys.path.insert(0, SOURCE)
os.environ.update(PYTHONPATH=os.pathsep.join(filter(None, [SOURCE, os.environ.get("PYTHONPATH")])))

from dualad.config import complete_config
from dualad.errors import DualadError
from dualad.params import resolve_methods, stage_owner
from dualad.provenance import folder_fingerprint, source_fingerprint
from snakemake.exceptions import WorkflowError

# The configuration, checked and complete. Of pandas, TensorFlow and the like nothing is imported
# here: every invocation and every cluster job parses this file.
try:
    config = complete_config(config, Path(workflow.basedir) / "workflow/schemas/config.schema.yaml")
    METHODS = resolve_methods(config["methods"], config["defaults"])
except DualadError as error:
    raise WorkflowError(str(error)) from None

DATASETS = config["datasets"]
FAMILIES = {name: method.family for name, method in METHODS.items()}
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
    return source_fingerprint(
        "dualad.data.dataset", *modules, without=frozenset({"dualad.data", *without})
    )


SCORING_ONLY = ["dualad.explain", "dualad.monte_carlo", "dualad.predictions"]
NETWORK = ["dualad.methods", "dualad.methods.dual_autoencoder"]
CONTROLS = ["dualad.methods", "dualad.methods.controls"]
CODE = {
    "dataset": source_fingerprint("dualad.data"),
    "plan": code("dualad.preparation"),
    "search": code(*NETWORK, without=["dualad.scores", *SCORING_ONLY]),
    "train": code(*NETWORK, without=["dualad.search", *SCORING_ONLY]),
    "score": code(*NETWORK, without=["dualad.search"]),
    "fit": code(*CONTROLS, without=SCORING_ONLY),
    "score_control": code(*CONTROLS),
    "evaluate": code("dualad.evaluation"),
    "figures": code("dualad.figures"),
    "tables": code("dualad.tables"),
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
    return {key: value for key, value in entry.items() if key not in SPLIT_KEYS}


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


def is_dual(name):
    """Whether a method has a dual autoencoder: it is searched, trained and scored differently."""
    return METHODS[name].family == "dual_autoencoder"


def stage_files(name):
    """What each stage of a method leaves in its folder."""
    model = (
        ["model.keras", "residuals.npz", "attempts.csv", "epochs.csv"]
        if is_dual(name)
        else ["model.npz"]
    )
    search = {"search": ["search/trials.csv", "search/best.json"]}
    return {
        **(search if METHODS[name].tunes_dropout else {}),
        "train": [*model, "fit.json"],
        "score": ["predictions.h5"],
    }


def method_files(name):
    """Paths of all that a method leaves, with the dataset as wildcard."""
    files = [file for files in stage_files(name).values() for file in files]
    files += ["scores.csv", "threshold.json", "metrics.json"]
    return [f"results/{{dataset}}/{name}/{file}" for file in files]


def owners(stage, dual):
    """Names of the methods, dual or not, for which a stage is computed."""
    return [
        name
        for name in METHODS
        if is_dual(name) == dual
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


def all_params(wildcards):
    """A method's family and all of its parameters, as plain values."""
    method = METHODS[wildcards.method]
    return {"family": method.family, **asdict(method.params)}


def fitted_files(wildcards):
    """The fitted model of a method, and its description."""
    folder = f"results/{wildcards.dataset}/{wildcards.method}"
    dual = is_dual(wildcards.method)
    model = ["model.keras", "residuals.npz"] if dual else ["model.npz"]
    return [f"{folder}/{file}" for file in (*model, "fit.json")]


def search_result(wildcards):
    """The outcome of the search, for a method that has one."""
    folder = f"results/{wildcards.dataset}/{wildcards.method}"
    return f"{folder}/search/best.json" if METHODS[wildcards.method].tunes_dropout else []


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
    return int(is_dual(wildcards.method))


# ---- figures ----


def figure_inputs(name):
    """Paths of what a method's figures are drawn from, with the dataset as wildcard."""
    not_drawn = {"model.keras", "model.npz", "residuals.npz", "fit.json", "best.json"}
    return [path for path in method_files(name) if Path(path).name not in not_drawn]


def figure_labels(wildcards):
    """Labels in the report of a figure called like training_curves__dual.png."""
    figure, _, method = wildcards.figure.partition("__")
    return {"figure": figure.replace("_", " "), "method": method or "(all)"}


# ---- wildcards ----


def any_of(names):
    """A regular expression for any of the names; it matches nothing if there are none."""
    return "|".join(map(re.escape, names)) or "(?!)"


wildcard_constraints:
    dataset=any_of(DATASETS),
    method=any_of(METHODS),
    archive="[a-z0-9_]+",
