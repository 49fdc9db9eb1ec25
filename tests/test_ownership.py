"""Who owns a folder, on a clock that only moves when somebody waits."""

import json
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from dualad import ownership
from dualad.errors import DualadError
from dualad.ownership import Owner, OwnershipLostError, ownership_of, require_ownership

ELSEWHERE = Owner("node5", "another machine", 17, "1", "4711")


class Clock:
    """A clock whose hand is moved by `sleep`, with somebody else at work meanwhile."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.meanwhile: Callable[[float], None] = lambda now: None

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.meanwhile(self.now)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(ownership, "time", clock)
    return clock


@pytest.fixture
def messages(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    with caplog.at_level(logging.INFO, "dualad"):
        yield caplog


def claim(folder: Path, owner: Owner, number: int = 1, count: int = 0) -> Path:
    path = folder / f"owner.{number}"
    path.write_text(json.dumps({**asdict(owner), "count": f"{count:012d}"}) + "\n")
    return path


def claims(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_folder_is_owned_until_the_end(tmp_path: Path) -> None:
    folder = tmp_path / "new/work"
    with ownership_of(folder) as owner:
        assert claims(folder) == {"owner.1"}
        owner.require()
        require_ownership(folder / "deeper/file")
    assert claims(folder) == set()


def test_a_claim_whose_counter_stands_still_is_taken_over_after_a_minute(
    tmp_path: Path, clock: Clock, messages: pytest.LogCaptureFixture
) -> None:
    claim(tmp_path, ELSEWHERE)
    with ownership_of(tmp_path):
        assert clock.now - 1000 == pytest.approx(60, abs=2)
        assert claims(tmp_path) == {"owner.2"}
    assert "taking over from Slurm job 4711 (process 17 on node5)" in messages.text


def test_a_claim_is_waited_for_as_long_as_its_counter_moves(
    tmp_path: Path, clock: Clock, messages: pytest.LogCaptureFixture
) -> None:
    path = claim(tmp_path, ELSEWHERE)

    def meanwhile(now: float) -> None:
        if now < 5000:
            claim(tmp_path, ELSEWHERE, count=int(now) // 50)
        else:
            path.unlink(missing_ok=True)

    clock.meanwhile = meanwhile
    with ownership_of(tmp_path):
        assert clock.now == pytest.approx(5000, abs=1)
    # Once every ten minutes.
    assert messages.text.count("`scancel 4711` ends it at once") == 7


def test_the_time_of_day_and_of_files_does_not_matter(tmp_path: Path, clock: Clock) -> None:
    path = claim(tmp_path, ELSEWHERE)
    for year in (0, 2**32):
        os.utime(path, (year, year))
        start = clock.now
        with ownership_of(tmp_path):
            assert clock.now - start == pytest.approx(60, abs=2)
        path = claim(tmp_path, ELSEWHERE)


def test_a_dead_process_of_this_machine_is_not_waited_for(tmp_path: Path, clock: Clock) -> None:
    # This process's number, used by an earlier process.
    claim(tmp_path, replace(Owner.this_process(), start="1", token="earlier"))
    with ownership_of(tmp_path):
        assert clock.now == 1000


def test_a_process_of_another_namespace_is_not_taken_for_dead(tmp_path: Path, clock: Clock) -> None:
    here = Owner.this_process()
    claim(tmp_path, replace(here, machine=here.machine + "x", start="1", token="container"))
    with ownership_of(tmp_path):
        assert clock.now > 1059


@pytest.mark.parametrize("content", ["", "{", '{"host": 1}', "[]"])
def test_a_claim_without_content_is_a_claim(content: str, tmp_path: Path, clock: Clock) -> None:
    (tmp_path / "owner.1").write_text(content)
    with ownership_of(tmp_path):
        assert clock.now > 1059


def test_who_was_taken_over_notices_and_leaves_the_new_claim_alone(tmp_path: Path) -> None:
    with ExitStack() as stack:
        owner = stack.enter_context(ownership_of(tmp_path))
        (tmp_path / "owner.1").unlink()
        successor = claim(tmp_path, ELSEWHERE, number=2)
        with pytest.raises(OwnershipLostError, match="another job has taken over this folder"):
            owner.require()
        with pytest.raises(OwnershipLostError):
            require_ownership(tmp_path / "state.json")
    assert claims(tmp_path) == {successor.name}
    require_ownership(tmp_path)


def test_a_claim_of_the_same_name_by_another_is_not_ones_own(tmp_path: Path) -> None:
    with ownership_of(tmp_path) as owner:
        claim(tmp_path, ELSEWHERE)
        with pytest.raises(OwnershipLostError):
            owner.require()
    assert claims(tmp_path) == {"owner.1"}


def test_an_owner_that_awakes_at_the_last_moment_keeps_the_folder(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = claim(tmp_path, ELSEWHERE)
    this_process = Owner.this_process

    def awakened() -> Owner:
        # Between the decision to take over and the new claim.
        if path.exists() and 1060 < clock.now < 1063:
            claim(tmp_path, ELSEWHERE, count=1)
        return this_process()

    monkeypatch.setattr(Owner, "this_process", staticmethod(awakened))
    with ownership_of(tmp_path):
        assert clock.now > 1120
    assert claims(tmp_path) == set()


def test_an_outdated_listing_gives_nobody_a_second_claim(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As network file systems show it: a claim of number 3 that the listing does not have yet.
    path = claim(tmp_path, ELSEWHERE, number=3)
    listed = ownership._claims
    outdated: list[list[Path]] = [[]]
    monkeypatch.setattr(
        ownership, "_claims", lambda folder: outdated.pop() if outdated else listed(folder)
    )

    def meanwhile(now: float) -> None:
        assert claims(tmp_path) == {"owner.3"}
        if now > 1030:
            path.unlink(missing_ok=True)
            clock.meanwhile = lambda now: None

    clock.meanwhile = meanwhile
    with ownership_of(tmp_path):
        assert 1030 < clock.now < 1035


def test_a_folder_that_cannot_be_written_to_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(DualadError, match=r"file/work.*cannot be written"),
        ownership_of(tmp_path / "file/work"),
    ):
        pass
