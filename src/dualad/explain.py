"""Which pixels drive the reconstruction loss (section 3.4.2)."""

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from dualad.training import msle

FloatArray = npt.NDArray[np.float32]


def saliency(model: keras.Model, images: FloatArray) -> FloatArray:
    """|d L_MSLE(x, x_hat(x)) / d x| (eq. 35) for images (n, S, S); shape (n, S, S).

    The loss depends on x twice, as target and as input of the network; both paths count.
    """
    return np.asarray(_saliency(model, tf.constant(images[..., np.newaxis])))[..., 0]


@tf.function(jit_compile=True)
def _saliency(model: keras.Model, images: tf.Tensor) -> tf.Tensor:
    with tf.GradientTape() as tape:
        tape.watch(images)
        loss = tf.reduce_sum(msle(images, model(images, training=False)))
    return tf.abs(tape.gradient(loss, images))
