"""Tests that run TensorFlow."""

import tensorflow_setup  # noqa: F401
