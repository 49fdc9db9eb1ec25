"""What depends on the device that a network runs on: how loops compile, and how much fits.

On a CPU a loop runs step by step in TensorFlow's executor, without Python between the steps. On a
GPU, starting the kernels of a step from outside would take longer than they run, so the whole loop
is one XLA program. A CPU would gain little from that, as TensorFlow's own kernels are as fast, and
the larger program takes a second more to compile.
"""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from dualad.errors import DualadError

_SHARE = 0.3
"""Part of a GPU's memory that the values in between of one batch may take."""
_MIB = 2**20


def compiled_loop(function: Callable[..., Any]) -> Any:
    """A function around `tf.while_loop`, compiled as is best for the device.

    What takes the time in a step has to be a function compiled with XLA itself.
    """
    return tf.function(
        function, jit_compile=_memory_limit() is not None, autograph=False, reduce_retracing=True
    )


def batch_rows(row_bytes: int, on_cpu: int, most: int) -> int:
    """Rows of a batch for scoring.

    Parameters
    ----------
    row_bytes : int
        Memory that the values in between take per row.
    on_cpu : int
        Rows on a CPU, where more would not be faster.
    most : int
        Rows on a GPU, unless fewer fit into its memory; then the largest power of two that does.
    """
    limit = _memory_limit()
    if limit is None:
        return on_cpu
    fitting = max(1, int(_SHARE * limit / row_bytes))
    return most if fitting >= most else 2 ** int(np.log2(fitting))


def require_room(n_bytes: int, purpose: str) -> None:
    """Refuse what does not fit into the GPU's memory, which TensorFlow would only say much later.

    Parameters
    ----------
    n_bytes : int
    purpose : str
        What needs this memory, such as "training on 300000 images".

    Raises
    ------
    DualadError
        If the GPU has less.
    """
    limit = _memory_limit()
    if limit is not None and n_bytes > limit:
        raise DualadError(
            f"{purpose} needs {n_bytes / _MIB:.0f} MiB of GPU memory, and compute.gpu_memory_mb "
            f"allows {limit / _MIB:.0f}: raise it if the card has more, set compute.gpu to 0 to "
            "train on the CPU, or lower image_size"
        )


def activation_bytes(model: keras.Model) -> int:
    """Memory that the outputs of all layers of a network take for one image."""
    return sum(
        activation_bytes(layer)
        if isinstance(layer, keras.Model)
        else 4 * int(np.prod(layer.output.shape[1:]))
        for layer in model.layers
    )


def _memory_limit() -> int | None:
    """Bytes that TensorFlow may take of the GPU; None on a CPU."""
    if not tf.config.list_logical_devices("GPU"):
        return None
    device = tf.config.list_physical_devices("GPU")[0]
    (configuration,) = tf.config.get_logical_device_configuration(device)
    return _MIB * int(configuration.memory_limit)
