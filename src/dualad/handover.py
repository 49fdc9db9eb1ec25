"""Long work that is done by one process at a time, done once, and handed over when it is complete.

Snakemake deletes a job's outputs when the job starts and when it fails, and cannot know that
another job has just finished them (`dualad.ownership` says how that happens). So the outputs are
written in the work folder, and become the job's outputs when all of them are complete. The work
folder holds:

`owner.<number>`
    The claim of the process that works.
`unfinished/`
    Checkpoints, for whoever goes on.
`<token>/`
    Results while they are written; the name is the claim's.
`finished/`
    Complete results, and the key of the work that they are of. The outputs are hard links to these
    files. Whatever becomes of the outputs, another job that is to do the same work hands them over
    once more, until the Snakemake that asked for them has ended (`forget_finished`).
"""

import logging
import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from dualad.files import replacing, write_text
from dualad.ownership import Ownership, OwnershipLostError, Pace, is_claimed, ownership_of

logger = logging.getLogger(__name__)

_UNFINISHED = "unfinished"
_FINISHED = "finished"
_KEY = "key.txt"


def do_once(
    folder: Path,
    out_dir: Path,
    key: str,
    work: Callable[[Path, Path], None],
    pace: Pace = Pace(),  # noqa: B008
) -> None:
    """Do some work, unless another process does it or has done it; leave its results in `out_dir`.

    Waits while another process works in the folder. A process that has lost the folder to another
    waits for that one: should it fail instead, Snakemake would delete what the other one made.

    Parameters
    ----------
    folder : Path
        The work folder; made if absent.
    out_dir : Path
        Gets what `work` leaves; other files in it stay as they are.
    key : str
        Identifies what the results depend on. Finished results of another key do not count.
    work : callable
        Is given two folders, the one of unfinished work, in which it may find what a killed process
        left, and the empty one of its results.
    pace : Pace

    Raises
    ------
    DualadError
        If a folder cannot be written to, or from `work`.
    """
    finished = folder / _FINISHED
    while True:
        try:
            with ownership_of(folder, pace) as owner:
                if _key_of(finished) == key:
                    logger.info("another job has finished this: taking its results")
                else:
                    _remove_other_results(folder)
                    _do(folder, key, work, owner)
                if not _hand_over(finished / "results", out_dir):
                    shutil.rmtree(finished)
                return
        except OwnershipLostError as error:
            logger.warning("%s; waiting for what it finds", error)


def forget_finished(root: Path) -> None:
    """Remove the finished results of all work folders below `root`, for their outputs are there.

    Results whose outputs were deleted stay, because a job that failed beside them may have been the
    reason, and so do unfinished work and the folder of a process that still works.
    """
    # A dataset or a method may be called like the folder.
    for finished in sorted(path.parent for path in root.glob(f"**/{_FINISHED}/{_KEY}")):
        folder = finished.parent
        if is_claimed(folder) or _is_only_copy(finished / "results"):
            continue
        shutil.rmtree(finished, ignore_errors=True)
        for parent in (folder, *folder.parents):
            if parent == root.parent:
                break
            with suppress(OSError):
                parent.rmdir()


def _do(folder: Path, key: str, work: Callable[[Path, Path], None], owner: Ownership) -> None:
    """Do the work; its results are in `finished/` afterwards, all at once."""
    unfinished, staged = folder / _UNFINISHED, folder / owner.token
    unfinished.mkdir(exist_ok=True)
    (staged / "results").mkdir(parents=True)
    try:
        work(unfinished, staged / "results")
        write_text(staged / _KEY, key)
        owner.require()
        os.replace(staged, folder / _FINISHED)
    finally:
        shutil.rmtree(staged, ignore_errors=True)
    shutil.rmtree(unfinished, ignore_errors=True)


def _is_only_copy(results: Path) -> bool:
    """Whether the outputs are gone that were linked to these files."""
    return any(path.stat().st_nlink == 1 for path in _files(results))


def _key_of(finished: Path) -> str | None:
    path = finished / _KEY
    return path.read_text() if path.exists() else None


def _remove_other_results(folder: Path) -> None:
    """Remove results of another key, and those that killed processes had begun to write."""
    for path in folder.iterdir():
        if path.is_dir() and path.name != _UNFINISHED:
            shutil.rmtree(path)


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _hand_over(results: Path, out_dir: Path) -> bool:
    """Make the results the job's outputs, too; return whether both are the same files."""
    same = True
    for source in _files(results):
        with replacing(out_dir / source.relative_to(results)) as temporary:
            try:
                os.link(source, temporary)
            except OSError:
                # Not every file system has hard links.
                shutil.copyfile(source, temporary)
                same = False
            # Older than the job that hands it over, it would look outdated.
            os.utime(temporary)
    return same
