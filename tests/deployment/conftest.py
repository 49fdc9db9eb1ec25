"""Sets TensorFlow up before any test of this folder uses it."""

import tensorflow_setup  # noqa: F401
