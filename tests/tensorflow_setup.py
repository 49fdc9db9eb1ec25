"""Importing this sets TensorFlow up for the process, as a job of the workflow sets it up."""

import tensorflow as tf

from dualad.runtime import Runtime, configure_tensorflow

configure_tensorflow(Runtime(threads=2, cores=2))
# Operations without a seed of their own are an error under determinism, until one is set.
tf.random.set_seed(0)
