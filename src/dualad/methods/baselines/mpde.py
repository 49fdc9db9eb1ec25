"""MPDE: the dual-encoder network without the adaptive pipeline (Azri et al., JQMA 21, 2025).

An interpretation: the dual network of this package with fixed dropout and batch size, trained in
phases of falling learning rate.
"""

import keras
import numpy as np
import tensorflow as tf

from dualad.design.parameters import DualAutoencoderParams, MpdeParams
from dualad.methods.base import Experiment, FitReport, FloatArray, Scored, reconstruction_scores
from dualad.methods.baselines.convolutional_detector import NetworkDetector
from dualad.network.batches import map_batches
from dualad.network.model import build_dual_autoencoder, count_trainable
from dualad.network.trainer import NetworkTrainer
from dualad.runtime import seed_everything

_BATCH = 256


class Mpde(NetworkDetector):
    """L2 error of the dual autoencoder's reconstruction.

    Attributes
    ----------
    model_ : keras.Model
    """

    family = "mpde"
    params: MpdeParams

    def fit(self, experiment: Experiment) -> FitReport:
        params = self.params
        seeds = experiment.seeds(params)
        train, validation = experiment.split.attempt(1, seeds.numpy)
        labels = experiment.dataset.table["label"].to_numpy()
        held_out = validation[labels[validation] == 0]
        images = experiment.dataset.images(np.concatenate([train, held_out]))
        seed_everything(seeds)
        network = DualAutoencoderParams(
            encoder_widths=params.encoder_widths, decoder_widths=params.decoder_widths
        )
        self.model_ = build_dual_autoencoder(
            experiment.dataset.image_size, network, seeds.tensorflow
        )
        batch_size = min(params.batch_size, len(train))
        trainer = NetworkTrainer(self.model_, images, batch_size, params.learning_rates[0])
        trainer.reset([params.dropout] * len(network.dropout_names))
        for phase, learning_rate in enumerate(params.learning_rates, start=1):
            trainer.optimizer.learning_rate.assign(learning_rate)
            for epoch in range(params.epochs):
                rng = np.random.default_rng([seeds.numpy, phase, epoch])
                trainer.train_epoch(np.arange(len(train)), rng)
        losses, _ = trainer.evaluate(np.arange(len(train), len(images)))
        positions = np.arange(len(images))
        mean_loss = trainer.mean_image_loss(positions[: len(train)], positions[len(train) :])
        return FitReport(
            family=self.family,
            n_parameters=count_trainable(self.model_),
            validation=validation.tolist(),
            reconstruction_skill=1 - float(losses.mean()) / mean_loss if mean_loss else None,
        )

    def score(self, images: FloatArray) -> Scored:
        (outputs,) = map_batches(lambda batch: [_predict(self.model_, batch)], images, _BATCH)
        return reconstruction_scores(self.family, images, outputs)


@tf.function(reduce_retracing=True, autograph=False)
def _predict(model: keras.Model, images: tf.Tensor) -> tf.Tensor:
    return model(images[..., tf.newaxis], training=False)[..., 0]
