"""`dualad export`: a fitted method, its threshold and its test results as one file."""

import json
import logging
from dataclasses import asdict
from pathlib import Path

from dualad.deployment.archive import write_archive
from dualad.deployment.fitted import HEAT_FILE, FittedMethod
from dualad.design.families import FAMILIES
from dualad.errors import DualadError
from dualad.results.recommendation import method_folder

logger = logging.getLogger(__name__)


def export_detector(results: Path, out: Path) -> None:
    """Write a finished detector to one file, which needs nothing of the results.

    Parameters
    ----------
    results
        A method's folder in the result tree, or a dataset's for its recommended method.
    out
        The file, by custom with the suffix `.dualad`.

    Raises
    ------
    DualadError
        If the results are incomplete or damaged, the method is a user's own file, or the file
        cannot be written.
    """
    folder = method_folder(results)
    fitted = FittedMethod.read(folder)
    family = fitted.method.family
    if family == "external":
        raise DualadError(
            f"{folder}: the method is a Python file of your own, and an export holds no code; copy "
            "the results folder and that file instead"
        )
    scale = fitted.heat_scale()
    members = {
        "fit.json": (folder / "fit.json").read_bytes(),
        "threshold.json": (folder / "threshold.json").read_bytes(),
        HEAT_FILE: json.dumps({} if scale is None else asdict(scale)).encode(),
        **{name: (folder / name).read_bytes() for name in FAMILIES[family].model_files},
    }
    write_archive(out, {"family": family}, members)
