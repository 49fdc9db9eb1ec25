"""All files below a folder, for scoring images that no reader has listed."""

import logging
import os
from pathlib import Path

from dualad.data.readers.image_files import visible

logger = logging.getLogger(__name__)


def files_below(folder: Path) -> tuple[list[str], list[tuple[str, str]]]:
    """Find the visible files of a folder and its subfolders; links are followed.

    A link to a folder that contains the link is not followed: what it leads to is searched anyway.

    Parameters
    ----------
    folder
        An existing folder.

    Returns
    -------
    names : list of str
        Paths of the files relative to `folder`, with forward slashes, sorted.
    problems : list of (str, str)
        Name and reason of what cannot be read: links to something that is gone, folders without
        permission, and what is neither file nor folder. Sorted by name.
    """
    names: list[str] = []
    problems: list[tuple[str, str]] = []
    top = folder.resolve()
    waiting = [(folder, frozenset({top, *top.parents}))]
    while waiting:
        parent, containing = waiting.pop()
        try:
            entries = visible(parent)
        except OSError as error:
            reason = f"the folder cannot be read ({error.strerror or error})"
            problems.append((parent.relative_to(folder).as_posix(), reason))
            continue
        for entry in entries:
            name = entry.relative_to(folder).as_posix()
            # Unlike the methods of Path, these answer False whatever keeps them from looking.
            if os.path.isdir(entry):
                inside = entry.resolve()
                if inside in containing:
                    logger.warning("%s: not followed, it links to a folder that contains it", entry)
                    continue
                waiting.append((entry, containing | {inside, *inside.parents}))
            elif os.path.isfile(entry):
                names.append(name)
            else:
                problems.append((name, _problem(entry)))
    return sorted(names), sorted(problems)


def _problem(entry: Path) -> str:
    """Say why an entry can be neither read nor searched."""
    if entry.is_symlink():
        return f"the link leads to {os.readlink(entry)}, which cannot be found"
    return "neither a file nor a folder"
