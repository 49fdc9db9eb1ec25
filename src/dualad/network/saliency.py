"""Which pixels drive the reconstruction loss (section 3.4.2)."""

import keras
import tensorflow as tf

from dualad.network.trainer import msle


# Not compiled with XLA, which would take longer than the few images that are drawn.
@tf.function(autograph=False)
def saliency(model: keras.Model, images: tf.Tensor) -> tf.Tensor:
    """|d L_MSLE(x, x_hat(x)) / d x| (eq. 35) of images (n, S, S), float32 of the same shape.

    The loss depends on x twice, as the target and as the input of the network, and the gradient
    includes both.
    """
    with tf.GradientTape() as tape:
        tape.watch(images)
        batch = images[..., tf.newaxis]
        loss = tf.reduce_sum(msle(batch, model(batch, training=False)))
    return tf.abs(tape.gradient(loss, images))
