"""Process set-up before TensorFlow starts: threads, memory, determinism, GPU or CPU."""

import ctypes
import gc
import logging
import os
import random
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Self

import numpy as np
from threadpoolctl import threadpool_limits

from dualad.data.plan import Seeds
from dualad.programs import reuse_programs

logger = logging.getLogger(__name__)

# mallopt(3) parameter numbers of the GNU C library.
_M_TRIM_THRESHOLD = -1
_M_MMAP_MAX = -4
_NOTICES = (
    b"WARNING: All log messages before absl::InitializeLog()",
    b"I0000 ",
    b"To enable the following instructions",
)
"""How lines begin by which TensorFlow says on which processor it runs."""
_POOL_SIZES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS")


@dataclass(frozen=True)
class Runtime:
    """What a job may use."""

    threads: int = 2
    """Size of the thread pools of TensorFlow and of NumPy's libraries. The order of additions
    depends on it, and with it the last bits of every result: a setting of the configuration, not
    of the machine at hand."""
    cores: int = 2
    """CPU cores to run on, at most `threads`."""
    gpu: int = 0
    """GPUs, 0 or 1."""
    gpu_memory_mb: int = 5600
    tf32: bool = False
    """Whether a GPU may round the factors of products to TensorFloat-32, a setting as well."""
    programs: Path | None = None
    """Folder in which compiled programs are kept for later jobs, see `dualad.programs`."""

    @classmethod
    def of_job(cls, params: Mapping[str, Any], cores: int, resources: Mapping[str, Any]) -> Self:
        """What a workflow's job may use.

        Parameters
        ----------
        params : mapping
            Its `threads`, the size of the thread pools from the configuration (1 unless given),
            `tf32` (no unless given), and `programs`, the folder of compiled programs (none unless
            given).
        cores : int
            Cores that the job was given.
        resources : mapping
            Its `gpu` and `gpu_memory_mb`; both are 0 for a job that has none.
        """
        programs = params.get("programs")
        return cls(
            threads=params.get("threads", 1),
            cores=cores,
            gpu=resources.get("gpu", 0),
            gpu_memory_mb=resources.get("gpu_memory_mb", 0),
            tf32=params.get("tf32", False),
            programs=None if programs is None else Path(programs),
        )


@cache
def configure_tensorflow(runtime: Runtime) -> str:
    """Apply `runtime` to this process and return TensorFlow's device, `GPU` or `CPU`.

    Must run before TensorFlow executes its first operation in this process; a second call with the
    same argument only returns the name. Falls back to the CPU, with a warning in the log, when a
    GPU was asked for and none is visible.
    """
    keep_freed_memory()
    fix_pool_sizes(runtime.threads)
    if runtime.cores < runtime.threads:
        # Other jobs may be confined as well: do not all choose the same cores.
        available = sorted(os.sched_getaffinity(0))
        first = os.getpid() % len(available)
        os.sched_setaffinity(0, (available[first:] + available[:first])[: max(1, runtime.cores)])
    if runtime.gpu == 0:
        os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
    obstacle = _cuda_obstacle() if runtime.gpu else "not asked for"
    if runtime.programs is not None:
        reuse_programs(runtime.programs, runtime.threads)
    # TensorFlow looks for a GPU even if none is asked for, and calls it an error to find none.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3" if obstacle else "2")
    # TensorFlow creates hundreds of thousands of objects that are never freed. Searching them for
    # garbage would take a quarter of the import's time, and time again in every full collection.
    gc.disable()
    with _unavailable("sklearn", "matplotlib"):
        import tensorflow as tf
    gc.freeze()
    gc.enable()
    tf.config.threading.set_intra_op_parallelism_threads(runtime.threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    tf.config.experimental.enable_op_determinism()
    tf.config.experimental.enable_tensor_float_32_execution(runtime.tf32)
    gpus = tf.config.list_physical_devices("GPU") if runtime.gpu else []
    if runtime.gpu and not gpus:
        reason = f" ({obstacle})" if obstacle else ""
        logger.warning("a GPU was asked for and none is visible: running on the CPU%s", reason)
    if not gpus:
        logger.info("device: CPU, %d threads on %d cores", runtime.threads, runtime.cores)
        return "CPU"
    limit = tf.config.LogicalDeviceConfiguration(memory_limit=runtime.gpu_memory_mb)
    tf.config.set_visible_devices(gpus[:1], "GPU")
    tf.config.set_logical_device_configuration(gpus[0], [limit])
    logger.info("device: %s, at most %d MiB", gpus[0].name, runtime.gpu_memory_mb)
    return "GPU"


def join_tensorflow(runtime: Runtime) -> None:
    """Apply `runtime` to this process, unless something else in it has imported TensorFlow before.

    What others have set up can no longer be changed, and is not this package's to change.
    """
    if "tensorflow" not in sys.modules:
        with _without_notices():
            configure_tensorflow(runtime)
        return
    import tensorflow as tf

    threads = tf.config.threading.get_intra_op_parallelism_threads()
    if threads != runtime.threads:
        logger.info(
            "TensorFlow runs in this process already, with %s threads and not %d: the last digits "
            "of scores may differ from those of `dualad score`",
            threads or "its own number of",
            runtime.threads,
        )


def _cuda_obstacle() -> str:
    """Why no process here could use CUDA; empty if it starts."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return "no CUDA driver is installed"
    error: int = driver.cuInit(0)
    return f"the CUDA driver does not start: error {error}" if error else ""


@contextmanager
def _without_notices() -> Iterator[None]:
    """Keep TensorFlow's notices from standard error; whatever else is said there passes.

    They come from libraries in C++ before these know of any level of logging.
    """
    try:
        terminal = os.dup(2)
    except OSError:
        # A service may have none.
        yield
        return
    with os.fdopen(os.memfd_create("notices"), "w+b") as said:
        os.dup2(said.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(terminal, 2)
            os.close(terminal)
            said.seek(0)
            os.write(2, b"".join(line for line in said if not line.startswith(_NOTICES)))


@contextmanager
def _unavailable(*names: str) -> Iterator[None]:
    """Let imports of these packages fail, unless they are loaded already.

    With TensorFlow comes Keras, and with Keras its wrappers for scikit-learn and its plots. Both
    packages are optional to it and take two of the six seconds that importing TensorFlow takes.
    """
    absent = [name for name in names if name not in sys.modules]
    sys.modules.update(dict.fromkeys(absent))  # type: ignore[arg-type]
    try:
        yield
    finally:
        for name in absent:
            del sys.modules[name]


def fix_pool_sizes(threads: int) -> None:
    """Set the pools of NumPy's and SciPy's libraries, which Snakemake sets to the job's cores."""
    # Libraries that are loaded later read these variables.
    os.environ.update(dict.fromkeys(_POOL_SIZES, str(threads)))
    # SciPy has a library of its own, which would have no more threads than cores when it is loaded.
    import scipy.linalg  # noqa: F401

    threadpool_limits(threads)


def keep_freed_memory() -> None:
    """Let the C library reuse large freed blocks instead of handing them back to the kernel.

    TensorFlow allocates each training step's temporaries anew; blocks above 128 KiB come from and
    return to the kernel, and touching their fresh pages costs as much as the matrix products of a
    small batch (`bench/training_step.py`). Does nothing where the C library has no `mallopt`.
    """
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_MAX, 0)
        mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)


def seed_everything(seeds: Seeds) -> None:
    """Seed NumPy, TensorFlow and Python's `random` with the plan's three seeds (eq. 24)."""
    import tensorflow as tf

    np.random.seed(seeds.numpy)
    tf.random.set_seed(seeds.tensorflow)
    random.seed(seeds.python)
