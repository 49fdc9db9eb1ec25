"""A job's messages and progress, on the terminal and in its log file."""

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Never

from tqdm import tqdm

from dualad.errors import DualadError, no_room

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
def job_log(path: str | Path, label: str) -> Iterator[None]:
    """Send all output of a job to the file `path`, and its messages also to the terminal.

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
    ):
        saved = os.dup(1), os.dup(2)
        sys.stdout.flush()
        sys.stderr.flush()
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
        in_file = logging.StreamHandler(file)
        in_file.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        on_terminal = logging.StreamHandler(terminal)
        on_terminal.setFormatter(logging.Formatter(f"{label}: %(message)s"))
        package = logging.getLogger("dualad")
        package.setLevel(logging.INFO)
        package.handlers = [in_file, on_terminal]
        package.propagate = False
        try:
            yield
        except DualadError as error:
            package.error("error: %s", error)
            raise SystemExit(1) from None
        except Exception as error:
            on_terminal.setLevel(logging.CRITICAL)
            package.exception("failed")
            on_terminal.setLevel(logging.INFO)
            package.removeHandler(in_file)
            if reason := no_room(error):
                package.error(
                    "error: %s (%s): free some space and give the same command again; what is "
                    "finished is kept",
                    reason,
                    error,
                )
            else:
                package.error("%s: %s (traceback in %s)", type(error).__name__, error, path)
            raise SystemExit(1) from None
        finally:
            package.handlers = []
            sys.stdout.flush()
            sys.stderr.flush()
            for descriptor, copy in zip((1, 2), saved, strict=True):
                os.dup2(copy, descriptor)
                os.close(copy)
