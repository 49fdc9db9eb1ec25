"""Long work of two processes in one folder, whatever becomes of either."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dualad.errors import DualadError
from dualad.handover import do_once, forget_finished
from dualad.ownership import Pace

QUICK = Pace(beat=0.05, poll=0.02, patience=2)
STEPS = 30
EXPECTED = "".join(f"{step}\n" for step in range(STEPS))

# Counts as training does: a checkpoint after every step, from which whoever comes next goes on.
WORKER = f"""
import sys, time
from pathlib import Path
from dualad.files import write_text
from dualad.handover import do_once
from dualad.ownership import Pace, require_ownership

def work(unfinished, results):
    state = unfinished / "state.txt"
    lines = state.read_text() if state.exists() else ""
    for step in range(lines.count("\\n"), {STEPS}):
        time.sleep(0.02)
        lines += f"{{step}}\\n"
        require_ownership(unfinished)
        write_text(state, lines)
        print(step, flush=True)
    write_text(results / "result.txt", lines)

folder, out, key, patience = sys.argv[1:]
pace = Pace({QUICK.beat}, {QUICK.poll}, float(patience))
do_once(Path(folder), Path(out), key, work, pace)
"""


class Worker:
    """A process that does the work.

    On a busy machine the others may get no time for a while: it is very patient unless told.
    """

    def __init__(self, root: Path, key: str = "key", patience: float = 60) -> None:
        arguments = [str(root / "work"), str(root / "out"), key, str(patience)]
        command = [sys.executable, "-c", WORKER, *arguments]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)

    def wait_for_a_step(self) -> None:
        assert self.process.stdout is not None
        assert self.process.stdout.readline()

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def steps(self) -> list[int]:
        """The steps it does from now on until it ends, which it does well."""
        output, _ = self.process.communicate(timeout=300)
        assert self.process.returncode == 0
        return list(map(int, output.split()))


def result(root: Path) -> str:
    return (root / "out/result.txt").read_text()


def only_finished_work_is_left(root: Path) -> bool:
    return {path.name for path in (root / "work").iterdir()} == {"finished"}


def test_the_second_of_two_takes_what_the_first_one_made(tmp_path: Path) -> None:
    first = Worker(tmp_path)
    first.wait_for_a_step()
    second = Worker(tmp_path)
    assert len(first.steps()) == STEPS - 1
    assert second.steps() == []
    assert result(tmp_path) == EXPECTED and only_finished_work_is_left(tmp_path)


def test_who_comes_after_a_kill_goes_on_at_once(tmp_path: Path) -> None:
    first = Worker(tmp_path)
    first.wait_for_a_step()
    first.send(signal.SIGKILL)
    first.process.communicate()
    second = Worker(tmp_path)
    assert 0 < len(second.steps()) < STEPS
    assert result(tmp_path) == EXPECTED and only_finished_work_is_left(tmp_path)


def test_a_process_that_slept_too_long_leaves_the_work_to_its_successor(tmp_path: Path) -> None:
    first = Worker(tmp_path)
    first.wait_for_a_step()
    first.send(signal.SIGSTOP)
    second = Worker(tmp_path, patience=1)
    second.wait_for_a_step()
    first.send(signal.SIGCONT)
    # It notices before its next checkpoint, waits, and ends well with the other one's results:
    # had it failed, Snakemake would delete them.
    assert len(first.steps()) < STEPS - 2
    assert 0 < len(second.steps()) < STEPS
    assert result(tmp_path) == EXPECTED and only_finished_work_is_left(tmp_path)


def test_other_work_in_the_same_folder_waits_and_is_done_anew(tmp_path: Path) -> None:
    first = Worker(tmp_path)
    first.wait_for_a_step()
    second = Worker(tmp_path, key="another")
    assert len(first.steps()) == STEPS - 1
    assert second.steps() == list(range(STEPS))


@pytest.mark.parametrize("seed", range(4))
def test_two_processes_and_random_kills_give_the_undisturbed_result(
    seed: int, tmp_path: Path
) -> None:
    chance = random.Random(seed)
    workers: list[Worker] = []
    for _ in range(5):
        workers.append(Worker(tmp_path, patience=1))
        time.sleep(chance.uniform(0, 0.4))
        chance.choice(workers).send(
            chance.choice([signal.SIGKILL, signal.SIGSTOP, signal.SIGCONT, signal.SIGTERM])
        )
    Worker(tmp_path, patience=1).steps()
    assert result(tmp_path) == EXPECTED
    for worker in workers:
        worker.send(signal.SIGCONT)
        worker.process.communicate(timeout=300)
    assert result(tmp_path) == EXPECTED and only_finished_work_is_left(tmp_path)


def count(calls: list[Path]) -> object:
    def work(unfinished: Path, results: Path) -> None:
        calls.append(unfinished)
        (results / "sub").mkdir()
        (results / "sub/result.txt").write_text(f"{len(calls)}")

    return work


def test_deleted_outputs_are_handed_over_again_until_the_workflow_ends(tmp_path: Path) -> None:
    calls: list[Path] = []
    # A method, too, may be called like the folder of what is finished.
    folder, output = tmp_path / ".work/finished/train", tmp_path / "out/sub/result.txt"
    for _ in range(2):
        do_once(folder, tmp_path / "out", "key", count(calls), QUICK)
        assert output.read_text() == "1"
        output.unlink()
        # Snakemake deletes the outputs of a job that failed in the same group.
        forget_finished(tmp_path / ".work")
    do_once(folder, tmp_path / "out", "key", count(calls), QUICK)
    forget_finished(tmp_path / ".work")
    assert not (tmp_path / ".work/finished").exists()
    do_once(folder, tmp_path / "out", "key", count(calls), QUICK)
    assert output.read_text() == "2"


def test_a_file_system_without_hard_links_gets_copies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError("no hard links here")

    monkeypatch.setattr(os, "link", refuse)
    do_once(tmp_path / "work", tmp_path / "out", "key", count([]), QUICK)
    assert (tmp_path / "out/sub/result.txt").read_text() == "1"
    assert not list((tmp_path / "work").iterdir())


def test_failed_work_leaves_no_outputs_and_no_claim(tmp_path: Path) -> None:
    def fail(unfinished: Path, results: Path) -> None:
        (unfinished / "state.txt").write_text("half")
        (results / "result.txt").write_text("half")
        raise DualadError("no")

    with pytest.raises(DualadError, match="no"):
        do_once(tmp_path / "work", tmp_path / "out", "key", fail, QUICK)
    assert not (tmp_path / "out").exists()
    assert not list((tmp_path / "work").glob("owner.*"))
    assert (tmp_path / "work/unfinished/state.txt").exists()


def test_finished_work_of_a_folder_in_use_is_kept(tmp_path: Path) -> None:
    folder = tmp_path / "train"
    do_once(folder, tmp_path / "out", "key", count([]), QUICK)
    (folder / "owner.1").write_text(json.dumps({}))
    forget_finished(tmp_path)
    assert (folder / "finished").exists()
