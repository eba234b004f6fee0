"""One training step, one evaluation step, and the figures they leave."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_vae.data.pipeline import as_unit
from keras_vae.models.divergence import Update, apply_if_finite
from keras_vae.models.given import (
    check_numbers,
    check_weights,
    check_weights_shape,
    weights_fit,
)
from keras_vae.models.inference import Inference
from keras_vae.models.microbatches import (
    BatchPart,
    Microbatch,
    accumulated,
    weighted_batch,
)
from keras_vae.models.schedules import final_weights
from keras_vae.models.terms import (
    Output,
    add_to_mean,
    sum_over_dims,
    weighted_mean,
)
from keras_vae.noise import RowNoise, current_noise, noise_scope

_CALLS = 2**48  # beyond what any model is called


class Steps(Inference):
    """The steps of a `VAE`, in terms of its `call` and `compute_loss`.

    The noise of a training step is a function of the model's seed, its count of steps
    and the row in the global batch; that of evaluation, of the seed and the running
    index of the example. Calls outside of them have that of `noise_of_call`.
    """

    calls: keras.Variable
    """Counts the calls that were no step of `fit`, in training mode."""

    derived_metrics = ("neg_elbo",)

    def noise_of_call(self, training: bool | None) -> RowNoise:
        """The noise of a call of the model: that of the step, where there is one.

        Elsewhere, in a training loop of one's own or as a layer of a larger model, each
        call draws afresh by a count of calls that is saved with the model, and each
        replica for itself. A call with `training=False` draws the same each time.
        """
        noise = current_noise()
        if noise is not None:
            return noise
        if training is False:
            return RowNoise(self.seed, self.step, domain="call")
        self.calls.assign_add(1)
        context = tf.distribute.get_replica_context()
        replica = 0 if context is None else context.replica_id_in_sync_group
        number = tf.convert_to_tensor(self.calls)
        number += tf.cast(replica, tf.int64) * _CALLS
        return RowNoise(self.seed, number, domain="call/training")

    def train_step(self, data: Any) -> dict[str, Any]:
        """One step of the optimizer on one batch; returns the metrics."""
        variables = self.optimized_variables
        loss, gradients = accumulated(
            self._work_on,
            weighted_batch(*self.unpack(data)),
            self.accumulate_steps,
            variables,
        )
        updates = map(Update, self.optimizers, gradients, variables)
        finite = apply_if_finite(loss, list(updates))
        self.step.assign_add(tf.cast(finite, tf.int64))
        return self.get_metrics_result()

    def test_step(self, data: Any) -> dict[str, Any]:
        """The same metrics on one batch, without training; returns them.

        Weights that follow a schedule have their final values, so that the loss of one
        epoch compares with that of another.
        """
        batch = weighted_batch(*self.unpack(data))
        first = self._evaluated + tf.cast(batch.part.first_row, tf.int64)
        noise = RowNoise(self.seed, 0, first, "evaluation")
        with final_weights():
            loss, output = self._loss(batch, noise, training=False)
            self._track(batch, loss, output)
        self._evaluated.assign_add(tf.cast(batch.part.total, tf.int64))
        return self.get_metrics_result()

    def _work_on(self, batch: Microbatch) -> tuple[tf.Tensor, list[list[Any]]]:
        """Tracks the metrics of a microbatch; returns its loss and the gradients."""
        noise = RowNoise(self.seed, self.step, batch.part.first_row, "training")
        with tf.GradientTape() as tape:
            loss, output = self._loss(batch, noise, training=True)
            scaled = self.optimizer.scale_loss(loss)
        gradients = [tape.gradient(scaled, self.optimized_variables[0])]
        self._track(batch, loss, output)
        more, updates = self.other_updates(output, batch.part)
        gradients += [list(update.gradients) for update in updates]
        return loss + more, gradients

    def _loss(
        self, batch: Microbatch, noise: RowNoise, training: bool
    ) -> tuple[tf.Tensor, Output]:
        """Returns this replica's term of the loss, and what the model made of x.

        The terms of all replicas and all their microbatches sum to the loss.
        """
        # As Keras, which scales what does not come from examples (regularizers) for the
        # replicas, `compute_loss` divides by their number; so it is for microbatches.
        replicas = tf.distribute.get_strategy().num_replicas_in_sync
        weight = batch.weight * tf.cast(batch.of * replicas, tf.float32)
        with noise_scope(noise):
            output = self(batch.inputs, training=training, sample_weight=weight)
        loss = self.compute_loss(batch.x, None, output, weight, training=training)
        return loss / tf.cast(batch.of, loss.dtype), output

    def _track(self, batch: Microbatch, loss: tf.Tensor, output: Output) -> None:
        """Adds the loss of a microbatch and the terms it is made of to the metrics."""

        def add(metric: keras.metrics.Mean, mean: tf.Tensor) -> None:
            total = mean * tf.cast(batch.part.total, mean.dtype)
            add_to_mean(metric, total, batch.part.count)

        def add_each(metric: keras.metrics.Mean, values: tf.Tensor) -> None:
            add(metric, weighted_mean(values, batch.weight))

        params, latent, condition = output
        reconstruction = self.reconstruction_loss(batch.x, params, condition)
        add(self._loss_tracker, loss)
        add_each(self._reconstruction_tracker, reconstruction)
        if self._kl_tracker is not None:
            add_each(self._kl_tracker, sum_over_dims(latent.kl))
        if self._penalty_tracker is not None:
            add_each(self._penalty_tracker, self.latent_penalty(latent))
        self.track_more(output)

    def predict_step(self, data: Any) -> tf.Tensor:
        """`predict` is `reconstruct`."""
        inputs, x, _ = self.unpack(data)
        _, condition = self.split_inputs(inputs)
        noise = RowNoise(self.seed, domain="evaluation")
        condition = self.condition_on(x, condition, noise)
        return self.means(self.infer(x, condition)[0], condition)

    def get_metrics_result(self) -> dict[str, Any]:
        """Returns the metrics by name, and -ELBO where the model has one."""
        figures: dict[str, Any] = super().get_metrics_result()
        if "kl_loss" in figures:
            figures["neg_elbo"] = figures["reconstruction_loss"] + figures["kl_loss"]
        return figures

    def track_more(self, output: Output) -> None:
        """Adds to the figures of a model's own, where it has some: nothing here."""

    def unpack(self, data: Any) -> tuple[Any, tf.Tensor, tf.Tensor | None]:
        """Returns what `call` takes, x as float32, and the weights of the examples."""
        x, _, weight = self.parts_of(data)
        x = as_unit(x)
        return x, x, weight

    def parts_of(self, data: Any) -> tuple[Any, Any, tf.Tensor | None]:
        """Returns x, the condition and the weights of a batch, or None for them.

        All as they came, but for the weights, float32 (batch,).

        Raises:
            ValueError: If they are of a type or a shape that the model cannot take.
        """
        x, _, weight = keras.utils.unpack_x_y_sample_weight(data)
        self._check_shape(x)
        if weight is not None:
            check_numbers("sample_weight", weight)
            check_weights_shape(weight.shape)
            weight = tf.reshape(tf.cast(weight, tf.float32), [-1])
        return x, None, weight

    # Whether a batch fits, before its step.

    def batch_fits(self, data: Any) -> tf.Tensor:
        """Whether `train_step` and `test_step` may see a batch, a boolean scalar."""
        x, _, weight = self.parts_of(data)
        x = as_unit(x)
        fits = self.likelihood.fits(x)
        if weight is not None:
            fits &= weights_fit(weight, tf.shape(x)[0])
        return fits

    def batch_arrays(self, data: Any) -> list[tf.Tensor]:
        """Returns what `check_batch` takes, float32; (0, 0) for what is not there."""
        absent = tf.zeros([0, 0])
        parts = self.parts_of(data)
        return [absent if part is None else as_unit(part) for part in parts]

    def check_batch(self, x: np.ndarray, y: np.ndarray, weight: np.ndarray) -> None:
        """Raises the ValueError of a batch for which `batch_fits` is false."""
        self.check_examples(x)
        if weight.shape != (0, 0):
            check_weights(weight, len(x))

    def other_updates(
        self, output: Output, part: BatchPart
    ) -> tuple[tf.Tensor | float, list[Update]]:
        """What else a model trains in a step (a discriminator, say): nothing here.

        Returns:
            The loss of what else is trained, and its updates.
        """
        return 0.0, []
