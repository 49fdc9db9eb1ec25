"""What makes a job run again: short fingerprints of parameters and of code.

Snakemake compares a rule's parameters with those of the last run and prints what differs. A
fingerprint of a parameter begins with the name of what it stands for, so what is printed fits a
line and says, for example, which method has changed.
"""

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from dualad.design.experiments import BatchSearchDesign, Method, Sweep
from dualad.design.products import Product, Target
from dualad.design.targets import method_values
from dualad.fingerprints import run_code

_SCORING_ONLY = (
    "dualad.network.saliency",
    "dualad.network.monte_carlo",
    "dualad.evaluation.predictions",
    "dualad.data.synthetic",
)
_JOBS = "dualad.methods.jobs"
_SEARCH = "dualad.network.search"


def fingerprint(name: str, value: Any) -> str:
    """A name and eight hexadecimal digits that stand for a value, such as `dual:3f2a91c0`.

    Parameters
    ----------
    name
        The name of what has the value.
    value
        Plain values, lists and mappings. The order of a mapping's keys does not count, and what
        JSON does not know counts as its text.
    """
    text = json.dumps(value, sort_keys=True, default=str)
    return f"{name}:{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def paths_fingerprint(paths: Collection[str]) -> str:
    """The same for a list of paths in their order, which begins with their number."""
    return fingerprint(f"{len(paths)} results", list(paths))


def method_fingerprints(methods: Iterable[Method]) -> list[str]:
    """Fingerprints of all parameters of methods, one each."""
    return [fingerprint(method.name, method_values(method)) for method in methods]


def entry_fingerprints(names: Iterable[str], entries: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Fingerprints of what the configuration itself says of some methods."""
    return [fingerprint(name, entries[name]) for name in names]


def point_fingerprints(sweep: Sweep) -> list[str]:
    """Fingerprints of all parameters of the methods of a sweep, by the names of the values."""
    return [fingerprint(value, method_values(point)) for value, point in sweep.points.items()]


def cached_code(*modules: str, without: tuple[str, ...] = ()) -> str:
    """Fingerprint of what modules, and all that they import, do with a cached dataset.

    Snakemake notices changes of files, of parameters and of scripts, but not of what a script
    imports. Once the images are cached, only the module that reads the cache counts.
    """
    return run_code("dualad.data.dataset", *modules, without=without)


def figures_code() -> str:
    """Fingerprint of the code that draws the figures of a dataset."""
    return cached_code("dualad.figures.dataset")


def gallery_code() -> str:
    """Fingerprint of the code that writes the galleries of a dataset."""
    return cached_code("dualad.pages.method_gallery")


def index_code() -> str:
    """Fingerprint of the code that writes the page of all results."""
    return cached_code("dualad.pages.index")


def paper_code() -> str:
    """Fingerprint of the code that compares with the paper and audits the paper's numbers."""
    return cached_code(
        "dualad.tables.audit", "dualad.tables.comparison", "dualad.figures.comparison"
    )


def evaluate_code() -> str:
    """Fingerprint of the code that evaluates a method's scores."""
    return cached_code("dualad.evaluation.evaluator")


def recommend_code() -> str:
    """Fingerprint of the code that recommends a method."""
    return cached_code("dualad.results.recommendation")


def download_code() -> str:
    """Fingerprint of the code that fetches an archive."""
    return run_code("dualad.data.download")


def dataset_code() -> str:
    """Fingerprint of the code that reads images and caches them."""
    return run_code("dualad.data.cache")


def report_code() -> str:
    """Fingerprint of the code that writes the record of a report's configuration.

    What stands in the record is the business of the design, which is checked with all code.
    """
    return run_code("dualad.files")


def plan_code() -> str:
    """Fingerprint of the code that plans seeds and batch size and splits the images."""
    return cached_code("dualad.data.preparation")


def shift_code() -> str:
    """Fingerprint of the code that compares the normals of a split's sets."""
    return cached_code("dualad.evaluation.shift")


def search_code(method: Method) -> str:
    """Fingerprint of the code that searches dropout rates, without what only scoring needs."""
    return cached_code(_JOBS, _module(method), without=("dualad.network.scores", *_SCORING_ONLY))


def train_code(method: Method) -> str:
    """Fingerprint of the code that trains, without the search and what only scoring needs."""
    return cached_code(_JOBS, _module(method), without=(_SEARCH, *_SCORING_ONLY))


def control_code(method: Method) -> str:
    """Fingerprint of the code that fits a control, without what only scoring needs."""
    return cached_code(_JOBS, _module(method), without=_SCORING_ONLY)


def score_code(method: Method) -> str:
    """Fingerprint of the code that scores with a network or a control."""
    return cached_code(_JOBS, _module(method), without=(_SEARCH,))


def baseline_code(method: Method) -> str:
    """Fingerprint of the code that fits a baseline and scores with it."""
    return cached_code(_JOBS, _module(method))


def study_code(study: Sweep | BatchSearchDesign) -> str:
    """Fingerprint of the code that trains and evaluates the values of a study."""
    own = _module(study.base)
    return cached_code("dualad.methods.studies", _JOBS, own, without=(_SEARCH,))


def _module(method: Method) -> str:
    return f"dualad.methods.{method.about.module}"


def table_fingerprints(table: Target) -> list[str]:
    """Fingerprints of the methods whose parameters a table shows, and of their families' texts.

    The fingerprint of the code passes over the registry of families, where the texts are.
    """
    methods = table.methods.values()
    texts = [str(method.about) for method in methods if "methods" in table.product.arguments]
    return [*method_fingerprints(methods), fingerprint("families", texts)]


def table_code(table: Product) -> str:
    """Fingerprint of the code that builds and writes a table."""
    return cached_code("dualad.tables.named", table.module)


def figure_code(figure: Product) -> str:
    """The same for a figure across datasets."""
    return cached_code("dualad.figures.across", figure.module)


def product_call(product: Product) -> str:
    """Fingerprint of what the code of a table or figure is called with."""
    return fingerprint(product.builder, [product.arguments, product.options])
