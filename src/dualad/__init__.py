"""Image anomaly detection: the paper's dual autoencoder, controls and baselines under one contract.

- `design`: what is to be run; every key of the configuration is declared there.
- `data`: from folders and archives to images, plan and split.
- `network`: the dual autoencoder, its training, search and scores.
- `methods`: everything that can be fitted and applied, and the jobs that do it.
- `evaluation`: thresholds, probabilities, metrics and their intervals.
- `paper`: the paper's numbers, and the arithmetic on them.
- `results`, `tables`, `figures`, `pages`: finished runs, read back and shown.
- `deployment`: a finished detector as one file, and the images given to it.
- `detector`, `scored_folder`, `cli`: a finished detector from Python and from the shell.

docs/architecture.md has the whole map.
"""

from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dualad.detector import LoadedDetector, load_detector

__all__ = ["LoadedDetector", "__version__", "load_detector"]

try:
    __version__ = version("dualad")
except PackageNotFoundError:
    # The jobs' conda environments read the sources without installing them.
    __version__ = "unknown"


def __getattr__(name: str) -> Any:
    """Import the public interface when it is asked for: every module imports this package."""
    if name in ("LoadedDetector", "load_detector"):
        from dualad import detector

        return getattr(detector, name)
    raise AttributeError(f"module 'dualad' has no attribute {name!r}")
