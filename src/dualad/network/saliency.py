"""Which pixels drive the reconstruction loss (section 3.4.2)."""

import keras
import tensorflow as tf

from dualad.network.trainer import msle


@tf.function(jit_compile=True, autograph=False)
def explain(model: keras.Model, images: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Reconstructions of images (n, S, S), and saliency |d L_MSLE(x, x_hat(x)) / d x| (eq. 35).

    Both are float32 (n, S, S) and come from one pass. The loss depends on x twice, as the target
    and as the input of the network, and the gradient includes both.
    """
    with tf.GradientTape() as tape:
        tape.watch(images)
        batch = images[..., tf.newaxis]
        reconstructions = model(batch, training=False)
        loss = tf.reduce_sum(msle(batch, reconstructions))
    return reconstructions[..., 0], tf.abs(tape.gradient(loss, images))
