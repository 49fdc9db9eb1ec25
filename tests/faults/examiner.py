"""Opens damaged inputs, each in a fork of a process of its own that has not run TensorFlow.

`Examiner` starts this file as a program, which reads an order per line and answers with a line.
"""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Self

from isolation import Outcome, outcome_of

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]


class Examiner:
    """A context manager for the program.

    Parameters
    ----------
    tensorflow
        Whether to import TensorFlow before the first fork, which saves seconds in each.
    """

    def __init__(self, tensorflow: bool = False) -> None:
        path = os.pathsep.join([str(ROOT / "src"), str(HERE)])
        self._program = subprocess.Popen(
            [sys.executable, __file__, *(["tensorflow"] if tensorflow else [])],
            env={**os.environ, "PYTHONPATH": path},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._program.stdin is not None
        self._program.stdin.close()
        self._program.wait()

    def build(self, kind: str, folder: Path) -> Outcome:
        """Write an undamaged specimen."""
        return self._order("build", kind, folder)

    def open(self, kind: str, folder: Path) -> Outcome:
        """Open a specimen."""
        return self._order("open", kind, folder)

    def _order(self, action: str, kind: str, folder: Path) -> Outcome:
        assert self._program.stdin is not None and self._program.stdout is not None
        self._program.stdin.write(json.dumps([action, kind, str(folder)]) + "\n")
        self._program.stdin.flush()
        answer: dict[str, Any] = json.loads(self._program.stdout.readline())
        return Outcome(**{**answer, "code": tuple(answer["code"])})


def main(arguments: Sequence[str]) -> None:
    """Obey until there are no more orders."""
    from specimens import KINDS

    if arguments:
        # Imported, but not set up: a process in which TensorFlow has threads cannot be forked.
        import tensorflow  # noqa: F401

    for line in sys.stdin:
        action, kind, folder = json.loads(line)
        call = getattr(KINDS[kind], action)
        outcome = outcome_of(lambda call=call, folder=folder: call(Path(folder)) or "")
        print(json.dumps(asdict(outcome)), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
