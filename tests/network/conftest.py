"""Tests that run TensorFlow: set up once, as a job of the workflow sets it up."""

import tensorflow as tf

from dualad.device import Runtime, configure_tensorflow

configure_tensorflow(Runtime(threads=2, cores=2))
# Operations without a seed of their own are an error under determinism, until one is set.
tf.random.set_seed(0)
