"""The exceptions that users see."""

import errno
from pathlib import Path
from textwrap import shorten

_LONGEST_REASON = 200
"""Characters."""

_NO_ROOM = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EFBIG: "the file would exceed the size limit",
}


class DualadError(Exception):
    """A mistake in the input or the set-up that the user can put right.

    The message names the file, configuration key or image at fault and says what to do about it;
    workflow scripts and the command line print it alone, without a traceback, and exit with 1.
    """


class DivergedError(DualadError):
    """No training attempt came to anything: a result in itself where settings are compared."""


def brief(error: object) -> str:
    """What an exception says, on one line and no longer than one.

    Parsers quote what they could not read, which in a damaged file can be all of it.
    """
    return shorten("".join(c if c.isprintable() else " " for c in str(error)), _LONGEST_REASON)


def no_room(error: BaseException) -> str | None:
    """What keeps a file from growing, if that is what the exception is about."""
    return _NO_ROOM.get(error.errno or 0) if isinstance(error, OSError) else None


def write_error(path: Path, error: OSError) -> DualadError:
    """What to say of a file that could not be written."""
    if reason := no_room(error):
        return DualadError(f"{path}: {reason}; free some space and run again")
    return DualadError(f"{path}: cannot be written ({error.strerror or error})")
