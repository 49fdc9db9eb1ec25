"""Old name of `dualad.design.parameters`: methods written for version 0.1 import it."""

from dualad.design.parameters import ExternalParams

__all__ = ["ExternalParams"]
