"""One owner for a folder of unfinished work, among the processes of all machines that share it.

Two jobs can come to work in the same folder: a job goes on when the Snakemake that submitted it was
killed, and Snakemake started again submits another one. File locks are no help, because not every
network file system has them. Here a folder belongs to who created the newest *claim* in it, a small
file `owner.<number>` that is created exclusively, which all file systems can do.

The owner rewrites a counter in its claim every few seconds. Others wait for as long as they see
the counter change. They measure that on their own clocks, so that clocks of different machines
need not agree. A claim whose counter stood still for a minute is abandoned, and at once so the
claim of a process of the same machine that exists no more. Who takes over from claim n creates
claim n + 1, which only one can, and deletes claim n. The former owner, should it only have been
asleep, finds its claim gone (`require_ownership`) before it writes anything that counts.
"""

import errno
import json
import logging
import os
import secrets
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Self

from dualad.errors import DualadError, write_error

logger = logging.getLogger(__name__)

_PREFIX = "owner."
_REMINDER_SECONDS = 600.0
"""Time between two messages of a process that waits."""


class OwnershipLostError(DualadError):
    """Another process has taken over the folder that this one worked in."""


@dataclass(frozen=True)
class Pace:
    """Times in seconds."""

    beat: float = 5.0
    """Between two changes of an owner's counter."""
    poll: float = 1.0
    """Between two looks of a process that waits."""
    patience: float = 60.0
    """After which a claim whose counter stood still is abandoned."""


@dataclass(frozen=True)
class Owner:
    """A process, and where to find it."""

    host: str
    machine: str
    """Boot and process namespace: where these are the same, a process number means the same."""
    pid: int
    start: str
    """When the process started; another one with the same number started later."""
    slurm_job: str
    """Number of the process's Slurm job; empty outside Slurm."""
    token: str = field(default_factory=lambda: secrets.token_hex(8))

    @classmethod
    def this_process(cls) -> Self:
        """The process that asks, with a token of its own for every claim."""
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return cls(
            host=socket.gethostname(),
            machine=f"{boot} {os.readlink('/proc/self/ns/pid')}",
            pid=os.getpid(),
            start=_start_of(os.getpid()),
            slurm_job=os.environ.get("SLURM_JOB_ID", ""),
        )

    def is_dead(self) -> bool:
        """Whether it is a process of this machine, and exists no more."""
        is_here = self.machine == Owner.this_process().machine
        return is_here and _start_of(self.pid) != self.start

    def __str__(self) -> str:
        process = f"process {self.pid} on {self.host}"
        return f"Slurm job {self.slurm_job} ({process})" if self.slurm_job else process

    @property
    def remedy(self) -> str:
        """The command that ends it."""
        return f"scancel {self.slurm_job}" if self.slurm_job else f"kill {self.pid}"


class Ownership:
    """A claim of this process on a folder, which it keeps up until it is released."""

    def __init__(self, path: Path, owner: Owner, pace: Pace) -> None:
        self._path, self._owner, self._pace = path, owner, pace
        self._released = threading.Event()
        self._thread = threading.Thread(target=self._keep_up, daemon=True)
        self._thread.start()

    @property
    def folder(self) -> Path:
        """The folder that is owned."""
        return self._path.parent

    @property
    def token(self) -> str:
        """A name that no other claim has."""
        return self._owner.token

    def require(self) -> None:
        """Make sure that the folder is still this process's own.

        Raises
        ------
        OwnershipLostError
            If another process has taken it over.
        """
        claim = _read(self._path)
        if claim is None or claim.owner is None or claim.owner.token != self.token:
            raise OwnershipLostError(
                f"{self.folder}: another job has taken over this folder, because this one gave no "
                f"sign of life for {self._pace.patience:.0f} s; nothing was changed since"
            )

    def release(self) -> None:
        """Let others have the folder."""
        self._released.set()
        self._thread.join()
        with suppress(OwnershipLostError, FileNotFoundError):
            self.require()
            self._path.unlink()

    def _keep_up(self) -> None:
        count = 0
        while not self._released.wait(self._pace.beat):
            count += 1
            # A claim that was taken over is not there any more, and must not be made anew. What
            # else goes wrong, such as a server that is away, may pass.
            with suppress(OSError), self._path.open("r+") as file:
                file.write(_content(self._owner, count))


@contextmanager
def ownership_of(folder: Path, pace: Pace = Pace()) -> Iterator[Ownership]:
    """Own a folder; wait for as long as another process does.

    Parameters
    ----------
    folder
        Made if absent. Claims are files in it, so it must not be removed while it is owned.
    pace
        Times, the same for all who share the folder.

    Yields
    ------
    Ownership
        Of the folder; released at the end.

    Raises
    ------
    DualadError
        If the folder cannot be written to.
    """
    ownership = _take(folder, pace)
    _held.append(ownership)
    try:
        yield ownership
    finally:
        _held.remove(ownership)
        ownership.release()


def require_ownership(path: Path) -> None:
    """Make sure that what this process has owned around a path is still its own.

    Does nothing where the process has never owned a folder at or above the path.

    Raises
    ------
    OwnershipLostError
        If another process has taken the folder over.
    """
    for ownership in _held:
        if path.is_relative_to(ownership.folder):
            ownership.require()


def is_claimed(folder: Path) -> bool:
    """Whether a process owns the folder, or was killed while it did."""
    return bool(_claims(folder))


_held: list[Ownership] = []


@dataclass(frozen=True)
class _Claim:
    """A claim as it was read."""

    path: Path
    content: str
    owner: Owner | None
    """None in the moment between the creation of a claim and its first content."""

    @property
    def number(self) -> int:
        return _number(self.path)


def _take(folder: Path, pace: Pace) -> Ownership:
    seen: _Claim | None = None
    changed = reminded = -float("inf")
    while True:
        claim, now = _newest(folder), time.monotonic()
        if claim is None or (claim.owner and claim.owner.is_dead()):
            taken = _succeed(folder, claim, pace)
        elif claim != seen:
            seen, changed, taken = claim, now, None
        elif now - changed > pace.patience:
            taken = _succeed(folder, claim, pace)
        if taken:
            return taken
        if claim and claim.owner and now - reminded > _REMINDER_SECONDS:
            reminded = now
            logger.warning(
                "%s: %s works on this already; waiting until it ends, to go on with what it leaves "
                "(`%s` ends it at once)",
                folder,
                claim.owner,
                claim.owner.remedy,
            )
        time.sleep(pace.poll)


def _succeed(folder: Path, former: _Claim | None, pace: Pace) -> Ownership | None:
    """Claim a folder that nobody owns, or whose owner is gone; None if another was quicker."""
    owner = Owner.this_process()
    path = folder / f"{_PREFIX}{former.number + 1 if former else 1}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with path.open("x") as file:
            file.write(_content(owner, 0))
    except FileExistsError:
        return None
    except OSError as error:
        raise write_error(path, error) from error
    # The listing that this rests on may have been an old one, and the former owner awake again.
    if any(_number(other) > _number(path) for other in _claims(folder)) or (
        former is not None and _read(former.path) != former
    ):
        path.unlink()
        return None
    if former is not None:
        logger.info("%s: taking over from %s, which is gone", folder, former.owner)
    for other in _claims(folder):
        if other != path:
            other.unlink(missing_ok=True)
    return Ownership(path, owner, pace)


def _claims(folder: Path) -> list[Path]:
    """The claims on a folder, oldest first."""
    found = [path for path in folder.glob(f"{_PREFIX}*") if path.suffix[1:].isdigit()]
    return sorted(found, key=_number)


def _newest(folder: Path) -> _Claim | None:
    claims = _claims(folder)
    return _read(claims[-1]) if claims else None


def _number(path: Path) -> int:
    return int(path.suffix[1:])


def _content(owner: Owner, count: int) -> str:
    # Always of the same length, because it is overwritten in place.
    return json.dumps({**asdict(owner), "count": f"{count:012d}"}) + "\n"


def _read(path: Path) -> _Claim | None:
    try:
        content = path.read_text()
    except OSError as error:
        # The second is how NFS says that a file that was open here has been deleted elsewhere.
        if error.errno in (errno.ENOENT, errno.ESTALE):
            return None
        raise
    try:
        values = json.loads(content)
        del values["count"]
        owner = Owner(**values)
    except (ValueError, KeyError, TypeError):
        owner = None
    return _Claim(path, content, owner)


def _start_of(pid: int) -> str:
    """When a process of this machine started, in clock ticks since boot; empty if it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    # A zombie runs no more, although its parent has not taken note of it yet.
    return "" if fields[0] in "ZX" else fields[19]
