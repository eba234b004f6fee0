"""One training step, one evaluation step, and the figures they leave."""

from typing import Any

import keras
import tensorflow as tf

from keras_vae.data.pipeline import as_unit
from keras_vae.models.divergence import apply_if_finite
from keras_vae.models.inference import Inference
from keras_vae.models.terms import Output, sum_over_dims, weighted_sum
from keras_vae.models.trainer import BatchPart, add_to_mean, batch_part
from keras_vae.noise import RowNoise, noise_scope


class Steps(Inference):
    """The steps of a `VAE`, in terms of its `call` and `compute_loss`.

    The noise of a training step is a function of the model's seed, its count of steps
    and the row in the global batch; that of evaluation, of the seed and the running
    index of the example.
    """

    def train_step(self, data: Any) -> dict[str, Any]:
        """One step of the optimizer on one batch; returns the metrics."""
        inputs, x, weight = self.unpack(data)
        part = batch_part(x)
        noise = RowNoise(self.seed, self.step, part.first_row, "training")
        with tf.GradientTape() as tape:
            loss, output = self._loss(inputs, x, weight, part, noise, training=True)
            scaled = self.optimizer.scale_loss(loss)
        variables = self.optimized_variables[0]
        gradients = tape.gradient(scaled, variables)
        finite = apply_if_finite(self.optimizer, loss, gradients, variables)
        self.after_gradients(output, part)
        self._track(loss, x, output, weight, part)
        self.step.assign_add(tf.cast(finite, tf.int64))
        return self.get_metrics_result()

    def test_step(self, data: Any) -> dict[str, Any]:
        """The same figures on one batch, without training; returns the metrics."""
        inputs, x, weight = self.unpack(data)
        part = batch_part(x)
        row = self._evaluated + tf.cast(part.first_row, tf.int64)
        noise = RowNoise(self.seed, 0, row, "evaluation")
        loss, output = self._loss(inputs, x, weight, part, noise, training=False)
        self._track(loss, x, output, weight, part)
        self._evaluated.assign_add(tf.cast(part.total, tf.int64))
        return self.get_metrics_result()

    def predict_step(self, data: Any) -> tf.Tensor:
        """`predict` is `reconstruct`."""
        inputs, x, _ = self.unpack(data)
        _, condition = self.split_inputs(inputs)
        noise = RowNoise(self.seed, domain="evaluation")
        condition = self.condition_on(x, condition, noise)
        return self.means(self.infer(x, condition)[0], condition)

    def _loss(
        self,
        inputs: Any,
        x: tf.Tensor,
        weight: tf.Tensor | None,
        part: BatchPart,
        noise: RowNoise,
        training: bool,
    ) -> tuple[tf.Tensor, Output]:
        replicas = tf.distribute.get_strategy().num_replicas_in_sync
        share = tf.fill([part.count], replicas / tf.cast(part.total, tf.float32))
        if weight is not None:
            share = share * weight
        with noise_scope(noise):
            output = self(inputs, training=training, sample_weight=share)
        loss = self.compute_loss(x, None, output, share, training=training)
        return loss, output

    def _track(
        self,
        loss: tf.Tensor,
        x: tf.Tensor,
        output: Output,
        weight: tf.Tensor | None,
        part: BatchPart,
    ) -> None:
        def add(tracker: keras.metrics.Mean, figure: tf.Tensor) -> None:
            weights = tf.ones(()) if weight is None else weight
            add_to_mean(tracker, weighted_sum(figure, weights), part.count)

        total = loss * tf.cast(part.total, loss.dtype)
        add_to_mean(self._loss_tracker, total, part.count)
        add(
            self._reconstruction_tracker,
            self.reconstruction_loss(x, output.params, output.condition),
        )
        if self._kl_tracker is not None:
            add(self._kl_tracker, sum_over_dims(output.latent.kl))
        if self._penalty_tracker is not None:
            add(self._penalty_tracker, self.latent_penalty(output.latent))

    def unpack(self, data: Any) -> tuple[Any, tf.Tensor, tf.Tensor | None]:
        """Returns what `call` takes, x as float32, and the weights of the examples."""
        x, _, weight = keras.utils.unpack_x_y_sample_weight(data)
        x = as_unit(x)
        if weight is not None:
            weight = tf.reshape(tf.cast(weight, tf.float32), [-1])
        return x, x, weight

    def after_gradients(self, output: Output, part: BatchPart) -> None:
        """What else a model trains in a step (a discriminator, say): nothing here."""
