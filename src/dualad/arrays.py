"""Named arrays in .npz files, apart from `dualad.files`, which has to do without NumPy."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from dualad.files import reading, replacing


def write_arrays(path: Path, arrays: Mapping[str, npt.ArrayLike]) -> None:
    """Write named arrays to an .npz file, whole or not at all.

    Raises
    ------
    DualadError
        As for `replacing`.
    """
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez(file, **dict(arrays))  # type: ignore[arg-type]


def read_arrays(path: Path, names: Sequence[str]) -> dict[str, npt.NDArray[Any]]:
    """Read some of the arrays that `write_arrays` wrote.

    Raises
    ------
    DualadError
        If the file is missing or damaged, or one of the arrays is not in it.
    """
    with reading(path), np.load(path) as arrays:
        return {name: arrays[name] for name in names}
