import os
import re
import sys
from pathlib import Path

# The folder of this checkout: `workflow.basedir` would be the importer's where this is a module.
ROOT = Path(workflow.current_basedir.get_path_or_uri(secret_free=True)).parents[1]
SOURCE = str(ROOT / "src")

# Jobs inherit this, so the package need not be installed, in a conda environment neither.
sys.path.insert(0, SOURCE)
os.environ.update(PYTHONPATH=os.pathsep.join(filter(None, [SOURCE, os.environ.get("PYTHONPATH")])))

from dualad.design import reruns
from dualad.design.families import FAMILIES
from dualad.design.products import figure_labels, figure_targets, table_targets
from dualad.design.record import replacement_notice
from dualad.design.repeated_keys import refuse_repeated_keys
from dualad.design.schema import complete_config
from dualad.design.targets import Design
from dualad.errors import DualadError
from dualad.fingerprints import folder_fingerprint
from dualad.handover import forget_finished
from snakemake.exceptions import WorkflowError
from snakemake.logging import logger

# A run begins here, whatever another one, whose job may have started this, has left there.
if workflow.is_main_process:
    os.environ.pop("DUALAD_RUN", None)

# The configuration, checked and complete; scripts get it as `snakemake.config`. Of pandas,
# TensorFlow and the like nothing is imported here: every invocation and every job on a cluster
# parses this file.
try:
    refuse_repeated_keys(map(Path, workflow.configfiles))
    config = complete_config(config)
    DESIGN = Design.from_config(config)
except DualadError as error:
    raise WorkflowError(str(error)) from None

TABLES = table_targets(DESIGN)
FIGURES = figure_targets(DESIGN)
# The number of threads changes the last digits of a result, and `threads:` shrinks with --cores. So
# networks get their number of threads as a parameter, whatever --cores is, and controls get one.
COMPUTE = config["compute"]
ENVIRONMENT = f"../../envs/{COMPUTE['environment']}.yaml"


def source_state(wildcards):
    """A fingerprint of a dataset's files where the user keeps them."""
    try:
        return DESIGN.source_state(wildcards.dataset)
    except DualadError as error:
        raise WorkflowError(str(error)) from None


def images_file(wildcards):
    """The cached images as a method sees them."""
    return DESIGN.images_file(wildcards.dataset, wildcards.method)


def network_files(wildcards):
    """The fitted network of another method that a method uses, if it does."""
    return DESIGN.network_files(wildcards.dataset, wildcards.method)


def owned_file(stage):
    """An input function: the same file in the folder of the method that owns the stage."""
    return lambda wildcards: (
        f"results/{wildcards.dataset}/{DESIGN.owner(wildcards.method, stage)}/{wildcards.file}"
    )


def method_families(wildcards):
    """A fingerprint of all methods and their families in order: what a method looks like."""
    return reruns.fingerprint("families", list(DESIGN.families.items()))


def method_of(wildcards):
    """The method of the wildcard."""
    return DESIGN.methods[wildcards.method]


def stage_params(stage):
    """A params function: a fingerprint of the parameters that can change what a stage computes."""
    return lambda wildcards: reruns.fingerprint(
        wildcards.method, method_of(wildcards).stage_params(stage)
    )


def growing(amount):
    """A resource of which the second attempt gets twice as much."""
    return lambda wildcards, attempt: attempt * amount


def any_of(names):
    """A regular expression for any of the names; it matches nothing if there are none."""
    return "|".join(map(re.escape, names)) or "(?!)"


wildcard_constraints:
    dataset=any_of(DESIGN.datasets),
    method=any_of(DESIGN.methods),
    archive="[a-z0-9_]+",
    size=r"\d+",
    sweep=any_of(DESIGN.sweeps),
