"""Programs that XLA compiled, kept for later jobs, which then need not compile them again.

Compiling takes seconds in every process that trains or scores, and most jobs of a dataset run the
same few programs: the search and the training of a method, its ablations, every value of a sweep.
XLA writes each program to a folder and reads it back where the operations and all shapes are the
same. But it trusts the folder, and a damaged file ends the job. So every process gets a folder of
its own with links to the files whose content is what their names say, and at its end adds what it
compiled itself. No file is ever changed, so jobs may run side by side.
"""

import atexit
import hashlib
import logging
import os
import platform
import shutil
import tempfile
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

from dualad.errors import DualadError
from dualad.files import replacing

logger = logging.getLogger(__name__)

_DESCRIPTIONS = ("/proc/cpuinfo", "/proc/driver/nvidia/version")
"""Files that say for which processor, and which driver of a GPU, a program was compiled."""
_VARYING = ("cpu MHz", "bogomips", "processor", "core id", "apicid", "initial apicid")
"""Lines of these files that differ between the cores of a machine, or from moment to moment."""


def reuse_programs(store: Path, threads: int) -> None:
    """Let XLA take compiled programs from a folder, and add new ones when the process ends.

    Must run before TensorFlow is imported. Results do not depend on what is in the folder, and it
    may be removed at any time. A folder that cannot be read or written is left alone.

    Parameters
    ----------
    store : Path
        Made where it is missing. Programs of another machine, another version of TensorFlow or
        another number of threads lie beside each other in it.
    threads : int
        Size of TensorFlow's thread pool, which XLA divides the work for.
    """
    kept = store.absolute() / _machine(threads)
    own = Path(tempfile.mkdtemp(prefix="dualad-programs-"))
    for program in _intact(kept):
        (own / _xla_name(program)).symlink_to(program)
    flags = f"{os.environ.get('TF_XLA_FLAGS', '')} --tf_xla_persistent_cache_directory={own}"
    os.environ["TF_XLA_FLAGS"] = flags.strip()
    atexit.register(_keep_new, own, kept)


def _machine(threads: int) -> str:
    """Hash of all that a compiled program depends on besides its operations."""
    parts = [version("tensorflow"), platform.machine(), str(threads)]
    for path in map(Path, _DESCRIPTIONS):
        if path.exists():
            lines = path.read_text(errors="replace").splitlines()
            parts += sorted({line for line in lines if not line.startswith(_VARYING)})
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def _intact(kept: Path) -> Iterator[Path]:
    """Programs whose content has the hash in their names; others are removed."""
    names: set[str] = set()
    for program in sorted(kept.glob("[0-9a-f]*.pb")):
        try:
            intact = _digest(program) == program.name.partition(".")[0]
            if not intact:
                program.unlink()
        except OSError:
            continue
        # Two jobs may have compiled the same program at the same time.
        if intact and _xla_name(program) not in names:
            names.add(_xla_name(program))
            yield program


def _keep_new(own: Path, kept: Path) -> None:
    """Copy the programs that this process compiled to the others; remove its own folder."""
    try:
        for program in sorted(own.glob("*.pb")):
            if not program.is_symlink():
                with replacing(kept / f"{_digest(program)}.{program.name}") as temporary:
                    shutil.copyfile(program, temporary)
    except (OSError, DualadError) as error:
        logger.info("compiled programs are not kept for later jobs: %s", error)
    shutil.rmtree(own, ignore_errors=True)


def _digest(program: Path) -> str:
    return hashlib.sha256(program.read_bytes()).hexdigest()


def _xla_name(program: Path) -> str:
    """The name that XLA gave to a program, without the hash."""
    return program.name.partition(".")[2]
