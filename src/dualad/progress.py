"""A job's messages and progress, on the terminal and in its log file."""

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Never, TextIO

from tqdm import tqdm

from dualad.errors import DualadError, no_room
from dualad.fingerprints import check_code

logger = logging.getLogger(__name__)

INTERVAL_SECONDS = 5.0
"""Time between two lines of progress."""


class LogStream:
    """Turns tqdm's redrawn line into log lines."""

    def write(self, text: str) -> None:
        line = text.strip("\r\n ")
        if line:
            logger.info(line)

    def flush(self) -> None:
        """Log handlers flush themselves."""


def progress_bar(
    description: str, total: int, unit: str = "epoch", initial: int = 0
) -> "tqdm[Never]":
    """Progress over at most `total` epochs, or other units: a line every few seconds."""
    return tqdm(
        desc=description,
        total=total,
        initial=initial,
        file=LogStream(),
        mininterval=INTERVAL_SECONDS,
        unit=unit,
        bar_format="{desc}: {unit} {n_fmt} of at most {total_fmt}, {elapsed} gone, "
        "{remaining} left{postfix}",
    )


@contextmanager
def job_log(path: str | Path, label: str, code: str) -> Iterator[None]:
    """Send all output of a job to the file `path`, and its messages also to the terminal.

    First of all the job's code is checked: `code` is what it was when the run began, from
    `dualad.fingerprints.run_code`.

    Standard output and standard error, TensorFlow's native messages included, go to the file.
    Messages of this package go to both, on the terminal after `label`. A `DualadError` becomes one
    message and exit status 1; any other exception leaves its traceback in the file and one line on
    the terminal.

    The log starts anew with every run of the job.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with (
        path.open("w", buffering=1) as file,
        os.fdopen(os.dup(2), "w", buffering=1) as terminal,
        _standard_streams_into(file),
    ):
        in_file = logging.StreamHandler(file)
        in_file.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        on_terminal = logging.StreamHandler(terminal)
        on_terminal.setFormatter(logging.Formatter(f"{label}: %(message)s"))
        package = logging.getLogger("dualad")
        package.setLevel(logging.INFO)
        package.handlers = [in_file, on_terminal]
        package.propagate = False
        try:
            check_code(code)
            yield
        except DualadError as error:
            package.error("error: %s", error)
            raise SystemExit(1) from None
        except Exception as error:
            package.handlers = [in_file]
            package.exception("failed")
            package.handlers = [on_terminal]
            package.error(_failure(error, path))
            raise SystemExit(1) from None
        finally:
            package.handlers = []


@contextmanager
def _standard_streams_into(file: TextIO) -> Iterator[None]:
    """Let standard output and standard error of this process, at the system's level, go to a file.

    Messages of native code, which know nothing of `sys.stdout`, go there too.
    """
    saved = os.dup(1), os.dup(2)
    _connect_standard_streams(file.fileno(), file.fileno())
    try:
        yield
    finally:
        _connect_standard_streams(*saved)
        for copy in saved:
            os.close(copy)


def _connect_standard_streams(output: int, errors: int) -> None:
    """Connect standard output and standard error to two open descriptors."""
    sys.stdout.flush()
    sys.stderr.flush()
    os.dup2(output, 1)
    os.dup2(errors, 2)


def _failure(error: Exception, log: Path) -> str:
    """The one line on the terminal for an error whose traceback is in a log file."""
    if reason := no_room(error):
        return (
            f"error: {reason} ({error}): free some space and give the same command again; what is "
            "finished is kept"
        )
    return f"{type(error).__name__}: {error} (traceback in {log})"
