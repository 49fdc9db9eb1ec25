"""Checkpoints: whatever moment the process dies at, the last committed state is whole."""

import errno
import os
import time
from pathlib import Path

import numpy as np
import pytest

from dualad.errors import DualadError
from dualad.network.checkpoint import N_SLOTS, CheckpointStore, Pace


def arrays(value: int) -> list[np.ndarray]:
    return [
        np.full((3, 5), value, np.float32),
        np.array(value, np.int64),
        np.full((2,), value, np.uint32),
    ]


def store(folder: Path, fingerprint: str = "run") -> CheckpointStore:
    return CheckpointStore(folder, fingerprint, arrays(0))


def test_restores_what_was_committed(tmp_path: Path) -> None:
    first = store(tmp_path)
    slot = first.write(arrays(7))
    first.commit({"epoch": 1, "slot": slot}, {slot})

    second = store(tmp_path)
    assert second.restore() == {"epoch": 1, "slot": slot}
    for found, expected in zip(second.read(slot), arrays(7), strict=True):
        assert found.dtype == expected.dtype
        np.testing.assert_array_equal(found, expected)


def test_the_next_checkpoint_waits_twenty_times_what_the_last_one_took(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)

    def seconds_until_due(pace: Pace) -> float:
        nonlocal now
        started = now
        while not pace.due:
            now += 0.5
        return now - started

    # The first as if the disk took 200 MB a second, and none within ten seconds.
    assert seconds_until_due(Pace(800_000_000)) == 80
    pace = Pace(1000)
    assert seconds_until_due(pace) == 10
    for took, wait in ((3.0, 60), (0.25, 10), (0.75, 15)):
        with pace.writing():
            now += took
        assert seconds_until_due(pace) == wait


def test_a_write_without_a_commit_changes_nothing(tmp_path: Path) -> None:
    first = store(tmp_path)
    slot = first.write(arrays(1))
    first.commit({"slot": slot}, {slot})
    first.write(arrays(2))

    second = store(tmp_path)
    assert second.restore() == {"slot": slot}
    np.testing.assert_array_equal(second.read(slot)[0], arrays(1)[0])


def test_named_slots_are_never_written_to(tmp_path: Path) -> None:
    checkpoints = store(tmp_path)
    for value in range(2 * N_SLOTS):
        kept = checkpoints.write(arrays(value))
        checkpoints.commit({}, {kept})
        assert checkpoints.write(arrays(9)) != kept
        assert int(checkpoints.read(kept)[1]) == value


def test_another_run_does_not_resume(tmp_path: Path) -> None:
    first = store(tmp_path)
    slot = first.write(arrays(1))
    first.commit({}, {slot})
    assert store(tmp_path, "other run").restore() is None


def test_the_journal_holds_what_was_appended_before_a_commit(tmp_path: Path) -> None:
    first = store(tmp_path)
    for epoch in (1, 2):
        first.append({"epoch": epoch, "loss": float("nan")})
        first.commit({}, set())
    first.append({"epoch": 3})
    with (tmp_path / "journal.jsonl").open("ab") as file:
        file.write(b'{"epoch": 4, "lo')

    second = store(tmp_path)
    assert second.restore() == {}
    assert [row["epoch"] for row in second.rows()] == [1, 2]
    second.append({"epoch": 30})
    second.commit({}, set())

    third = store(tmp_path)
    assert third.restore() == {}
    assert [row["epoch"] for row in third.rows()] == [1, 2, 30]
    another = store(tmp_path, "other run")
    assert another.restore() is None and another.rows() == []
    another.append({"epoch": 1})
    assert (tmp_path / "journal.jsonl").read_text() == '{"epoch": 1}\n'


def test_a_commit_costs_the_same_after_many_rows(tmp_path: Path) -> None:
    checkpoints = store(tmp_path)
    sizes = []
    for n_rows in (1, 2000):
        for _ in range(n_rows):
            checkpoints.append({"epoch": 1})
        checkpoints.commit({"attempt": 1}, set())
        sizes.append((tmp_path / "state.json").stat().st_size)
    assert sizes[1] - sizes[0] < 20


def test_slots_of_a_larger_network_are_no_obstacle(tmp_path: Path) -> None:
    first = store(tmp_path)
    slot = first.write(arrays(1))
    first.commit({}, {slot})
    larger = [np.ones((100, 100), np.float32)]
    second = CheckpointStore(tmp_path, "larger", larger)
    assert second.restore() is None
    np.testing.assert_array_equal(second.read(second.write(larger))[0], larger[0])


@pytest.mark.parametrize(
    "damage", ["flip", "truncate", "remove", "document", "journal", "short journal", "no journal"]
)
def test_damage_is_noticed(tmp_path: Path, damage: str) -> None:
    first = store(tmp_path)
    first.append({"epoch": 1})
    slot = first.write(arrays(1))
    first.commit({}, {slot})
    path = tmp_path / f"slot{slot}.bin"
    if damage == "flip":
        content = bytearray(path.read_bytes())
        content[5] ^= 1
        path.write_bytes(content)
    elif damage == "truncate":
        path.write_bytes(path.read_bytes()[:-8])
    elif damage == "remove":
        path.unlink()
    elif damage == "journal":
        (tmp_path / "journal.jsonl").write_bytes(b'{"epoch": 2}\n')
    elif damage == "short journal":
        (tmp_path / "journal.jsonl").write_bytes(b'{"ep')
    elif damage == "no journal":
        (tmp_path / "journal.jsonl").unlink()
    else:
        (tmp_path / "state.json").write_text('{"fingerprint": "ru')
    assert store(tmp_path).restore() is None


def test_a_full_disk_is_an_error_that_keeps_the_last_state(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = store(tmp_path)
    slot = first.write(arrays(1))
    first.commit({"slot": slot}, {slot})

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(DualadError, match=r"no room for a checkpoint .* free about"):
        first.write(arrays(2))
    assert store(tmp_path).restore() == {"slot": slot}


@pytest.mark.parametrize("file", ["journal.jsonl", "state.tmp"])
def test_a_failed_write_keeps_the_last_state(tmp_path: Path, file: str) -> None:
    first = store(tmp_path)
    first.commit({"epoch": 1}, set())
    # This device can be opened, but not written to.
    (tmp_path / file).symlink_to("/dev/full")
    with pytest.raises(DualadError, match=r"cannot be written \(.*; free some space"):
        first.append({"epoch": 2})
        first.commit({"epoch": 2}, set())
    assert store(tmp_path).restore() == {"epoch": 1}
