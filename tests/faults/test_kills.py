"""A run that is killed at any moment goes on to the same result, and repeats nothing."""

from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest
from disturbed import CONTROLS, NETWORK, drawn_kills, results, run_with_kills
from workspace import Workspace


def check_kills(expected: Workspace, folder: Path, config: str, seed: int, most: int) -> int:
    """Kill a run up to `most` times, compare its results; return how often it was killed."""
    workspace = Workspace(folder, config)
    history = run_with_kills(workspace, drawn_kills(seed), most)
    assert results(workspace) == results(expected)
    # What was finished was not done again.
    assert max(history.finished.values()) == 1, history.finished
    assert not list(workspace.results.rglob("*.part*"))
    return history.kills


@pytest.mark.parametrize("seed", [1])
def test_a_run_that_is_killed_now_and_then_ends_with_the_same_bytes(
    controls: Workspace, tmp_path: Path, seed: int
) -> None:
    assert check_kills(controls, tmp_path, CONTROLS, seed, most=3) > 0


@pytest.mark.slow
def test_fifty_kills_at_any_moment_change_nothing(
    network: Workspace, tmp_path: Path, report: Callable[[str], None]
) -> None:
    kills, runs = 0, 0
    for seed in count(100):
        kills += check_kills(network, tmp_path / str(seed), NETWORK, seed, most=50)
        runs += 1
        if kills >= 50:
            break
    report(f"{kills} kills in {runs} runs: the same bytes, no finished job repeated")
