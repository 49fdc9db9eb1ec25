"""The configuration that made the report, the tables and the figures across datasets.

Folders of experiments are named after datasets and methods, so those of several configurations lie
side by side. There is one report, one set of tables and one of figures: the next configuration
replaces them, which is said before it happens.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from dualad.errors import DualadError
from dualad.files import read_json, write_json

_SECTIONS = ("datasets", "methods", "defaults", "sweeps")
_WITHOUT_RESULTS = ("compute", "allow_gaps")
"""Keys that say how to compute, and not what."""
_NAMED = 6
"""Differences that are named; more are counted."""


def write_record(path: Path | str, config: Mapping[str, Any]) -> None:
    """Write a configuration as JSON, which is YAML too: the file can be given to `--configfile`.

    Parameters
    ----------
    path
        `results/configuration.json`.
    config
        The complete configuration.

    Raises
    ------
    DualadError
        If the file cannot be written.
    """
    write_json(Path(path), config)


def replacement_notice(path: Path | str, config: Mapping[str, Any]) -> str:
    """What a user has to know before a run replaces another configuration's report and tables.

    Parameters
    ----------
    path
        Record of the configuration that made them; its folder holds them.
    config
        The complete configuration that is about to run.

    Returns
    -------
    str
        Empty without a readable record, and where the recorded configuration has nothing that this
        one lacks or sets otherwise.
    """
    path = Path(path)
    try:
        recorded = read_json(path) if path.exists() else {}
    except DualadError:
        return ""
    differences = list(_differences(recorded, json.loads(json.dumps(config))))
    if not differences:
        return ""
    named = ", ".join(differences[:_NAMED])
    more = f" and {len(differences) - _NAMED} more" if len(differences) > _NAMED else ""
    return (
        f"{path.parent}/ holds the report, tables and figures of another configuration, {path}; a "
        f"run of this one replaces them. This one lacks, or sets otherwise: {named}{more}. "
        "Experiments with equal settings are kept, and what only the other configuration has stays "
        "in its folders. To keep both, run one of them with --directory FOLDER, or copy "
        f"{path.parent}/ first."
    )


def _differences(recorded: Mapping[str, Any], config: Mapping[str, Any]) -> Iterator[str]:
    """Names of what the recorded configuration has and the other one lacks or has otherwise."""
    for section in _SECTIONS:
        others = config.get(section) or {}
        for name, entry in (recorded.get(section) or {}).items():
            if name not in others or others[name] != entry:
                yield f"{section}.{name}"
    for key, value in recorded.items():
        if key not in (*_SECTIONS, *_WITHOUT_RESULTS) and value != config.get(key):
            yield key
