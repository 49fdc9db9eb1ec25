"""A damaged input ends with one message that names it, or is read right; nothing else happens."""

import hashlib
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from examiner import Examiner
from specimens import EARLIER, KINDS
from structured_damages import CANARY

SAMPLE = 3
"""Damaged inputs of a kind in the ordinary tests."""
MANY = 60
"""The same in the full set."""
SEED = 20


@pytest.fixture(scope="module")
def examiner() -> Iterator[Examiner]:
    with Examiner() as examiner:
        yield examiner


@pytest.fixture(scope="module")
def examiner_with_tensorflow() -> Iterator[Examiner]:
    with Examiner(tensorflow=True) as examiner:
        yield examiner


def check(examiner: Examiner, kind: str, count: int, folder: Path) -> Counter[str]:
    """Open `count` damaged inputs of a kind; return how many were read and how many refused."""
    about, sound = KINDS[kind], folder / "sound"
    sound.mkdir()
    built = examiner.build(kind, sound)
    assert built.kind == "read", built.text
    undamaged = examiner.open(kind, shutil.copytree(sound, folder / "undamaged"))
    assert not undamaged.complaint(about.name) and undamaged.kind == "read", undamaged.text
    content = (sound / about.file).read_bytes()
    outcomes: Counter[str] = Counter()
    complaints = []
    names = list(about.damages)
    for number in range(count):
        rng = np.random.default_rng([SEED, number, *kind.encode()])
        # Every damage in turn, from one that differs between the kinds.
        name = names[(number + len(kind)) % len(names)]
        case = shutil.copytree(sound, folder / str(number))
        (case / about.file).write_bytes(about.damages[name](content, rng))
        outcome = examiner.open(kind, case)
        outcomes[outcome.kind] += 1
        complaint = outcome.complaint(about.name)
        if outcome.kind == "refused" and _digests(case / EARLIER) != _digests(sound / EARLIER):
            complaint = "it changed what an earlier job left"
        if complaint:
            complaints.append(f"{kind}, {number}, {name}: {complaint}")
        shutil.rmtree(case)
    assert not complaints, "\n".join(complaints)
    assert not CANARY.exists()
    return outcomes


def _digests(folder: Path) -> dict[str, str]:
    return {
        str(path): hashlib.sha256((folder / path).read_bytes()).hexdigest()
        for path in (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    }


@pytest.mark.parametrize("kind", [name for name, kind in KINDS.items() if not kind.tensorflow])
def test_a_damaged_input_is_refused_in_one_message_or_read_right(
    examiner: Examiner, tmp_path: Path, kind: str
) -> None:
    check(examiner, kind, SAMPLE, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("kind", list(KINDS))
def test_many_damaged_inputs_are_refused_in_one_message_or_read_right(
    examiner_with_tensorflow: Examiner,
    tmp_path: Path,
    kind: str,
    report: Callable[[str], None],
) -> None:
    outcomes = check(examiner_with_tensorflow, kind, MANY, tmp_path)
    report(f"| {kind} | {outcomes['refused']} | {outcomes['read']} |")
