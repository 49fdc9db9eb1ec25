"""A job's log and its terminal hold the same; mistakes become one message."""

import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import logging, os, resource, sys
from dualad.errors import DualadError
from dualad.fingerprints import run_code
from dualad.progress import job_log, progress_bar
with job_log(sys.argv[1], "toy dual train", run_code("dualad.files")):
    bar = progress_bar("training", 4)
    bar.set_postfix_str("attempt 1 of 2")
    bar.update(4)
    bar.close()
    os.write(2, b"native message\\n")
    if sys.argv[2] == "mistake":
        raise DualadError("epochs: too few")
    if sys.argv[2] == "bug":
        raise ValueError("unexpected")
    if sys.argv[2] == "full":
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
        with open(sys.argv[1] + ".h5", "wb", buffering=0) as file:
            file.write(bytes(4096))
            file.write(b"more")
    if sys.argv[2] == "kill":
        os.kill(os.getpid(), 9)
"""


def run(log: Path, ending: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, str(log), ending], capture_output=True, text=True
    )


def test_terminal_and_log_show_progress_and_only_the_log_native_messages(tmp_path: Path) -> None:
    done = run(tmp_path / "logs" / "train.log", "well")
    log = (tmp_path / "logs" / "train.log").read_text()
    assert done.returncode == 0
    line = "training: epoch 4 of at most 4"
    assert f"toy dual train: {line}" in done.stderr and line in log
    assert "attempt 1 of 2" in done.stderr
    assert "native message" in log and "native message" not in done.stderr


@pytest.mark.parametrize(
    ("ending", "message"),
    [
        ("mistake", "error: epochs: too few"),
        ("bug", "ValueError: unexpected (traceback in"),
        ("full", "the file would exceed the size limit ([Errno 27] File too large): free some"),
    ],
)
def test_errors_are_one_line_on_the_terminal(tmp_path: Path, ending: str, message: str) -> None:
    done = run(tmp_path / "train.log", ending)
    assert done.returncode == 1
    assert message in done.stderr and "Traceback" not in done.stderr
    assert ("Traceback" in (tmp_path / "train.log").read_text()) == (ending != "mistake")


@pytest.mark.parametrize("ending", ["kill", "mistake", "well"])
def test_the_log_starts_anew_with_every_run(tmp_path: Path, ending: str) -> None:
    path = tmp_path / "train.log"
    run(path, ending)
    assert path.read_text().count("native message") == 1
    run(path, "well")
    assert path.read_text().count("native message") == 1
    assert [file.name for file in tmp_path.iterdir()] == ["train.log"]
