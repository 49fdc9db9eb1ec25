"""Opens an input in a process of its own, and tells what became of it.

The process is a fork, so that a thousand inputs cost seconds. It has a limit on its memory and is
ended after a while, and it takes note of everything that could run code which a file brings along.
"""

import json
import logging
import multiprocessing
import os
import re
import resource
import sys
import tempfile
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from dualad.errors import DualadError

SECONDS = 60.0
"""After which an input counts as one that never ends; the machine may be busy."""
MEMORY = 6 * 2**30
"""Bytes of address space that opening an input may take, in addition to what Python has."""
MOST_MEMORY_MB = 1000
"""By how much resident memory may grow."""
LONGEST_MESSAGE = 1000

_CODE = re.compile(r"^(os\.(system|exec|posix_spawn|fork|startfile)|subprocess\.|pickle\.|code\.)")
_REMEDY = re.compile(
    r"\b(add|check|choose|convert|copy|correct|delete|draw|expected|fetch|free|give|install|leave|let|"
    r"lower|move|name|point|put|remove|rename|replace|restore|run|save|score|set|train|use|write)\b"
    r"|did you mean|does not fit|unknown key"
)


@dataclass(frozen=True)
class Outcome:
    """What became of an input.

    Attributes
    ----------
    kind
        `read`, `refused` (with a message for the user), `raised` (any other exception), `died`
        (killed by a signal or by the limit on memory), or `endless`.
    text
        The message or the traceback; of an input that was read, what `judge` finds wrong.
    memory_mb
        By how much resident memory grew.
    code
        What was about to run code.
    """

    kind: str
    text: str = ""
    memory_mb: float = 0.0
    code: tuple[str, ...] = ()

    def complaint(self, name: str) -> str:
        """What is wrong with the outcome for an input of that name; empty if nothing is."""
        if self.code:
            return f"it can run code: {', '.join(self.code)}"
        if self.memory_mb > MOST_MEMORY_MB:
            return f"{self.memory_mb:.0f} MB of memory"
        if self.kind == "read":
            return self.text
        if self.kind != "refused":
            return f"{self.kind}: {self.text}"
        if name not in self.text:
            return f"the message does not name {name}: {self.text}"
        if len(self.text) > LONGEST_MESSAGE:
            return f"a message of {len(self.text)} characters: {self.text}"
        if not _REMEDY.search(self.text):
            return f"the message has no remedy: {self.text}"
        return ""


def outcome_of(judge: Callable[[], str]) -> Outcome:
    """Call a function in a fork of this process.

    Parameters
    ----------
    judge
        Opens the input; returns what is wrong with what was read, or an empty text.
    """
    context = multiprocessing.get_context("fork")
    here, there = context.Pipe(duplex=False)
    with tempfile.TemporaryFile() as said:
        process = context.Process(target=_run, args=(judge, there, said.fileno()), daemon=True)
        process.start()
        there.close()
        try:
            if not here.poll(SECONDS):
                return Outcome("endless", f"not finished after {SECONDS:.0f} s")
            return Outcome(**json.loads(here.recv_bytes()))
        except EOFError:
            process.join(SECONDS)
            said.seek(0)
            tail = said.read().decode("utf-8", "replace")[-2000:]
            return Outcome("died", f"exit code {process.exitcode}; {tail}")
        finally:
            process.kill()
            process.join()
            here.close()


def _run(judge: Callable[[], str], results: Connection, output: int) -> None:
    os.dup2(output, 1)
    os.dup2(output, 2)
    logging.disable(logging.CRITICAL)
    code: list[str] = []
    before = _resident_mb()
    _limit_memory()
    sys.addaudithook(lambda event, arguments: _note(code, event, arguments))
    try:
        found = {"kind": "read", "text": judge()}
    except DualadError as error:
        found = {"kind": "refused", "text": str(error)}
    except BaseException:
        found = {"kind": "raised", "text": traceback.format_exc()[-2000:]}
    grown = _peak_mb() - before
    results.send_bytes(json.dumps({**found, "memory_mb": grown, "code": code}).encode())
    results.close()
    # Without the clean-up of what the parent has open.
    os._exit(0)


def _note(code: list[str], event: str, arguments: tuple[Any, ...]) -> None:
    if _CODE.match(event):
        code.append(f"{event} {arguments!r:.100}")


def _limit_memory() -> None:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * os.sysconf("SC_PAGE_SIZE") + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def _resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
