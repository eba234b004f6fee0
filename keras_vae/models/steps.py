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
from keras_vae.models.schedules import final_weights
from keras_vae.models.terms import Output, maybe_empty, sum_over_dims, weighted_sum
from keras_vae.models.trainer import BatchPart, add_to_mean, batch_part
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
        inputs, x, weight = self.unpack(data)
        part = batch_part(x)
        variables = self.optimized_variables[0]
        output = None
        if self.accumulate_steps > 1:
            loss, gradients = self._one_by_one(inputs, x, weight, part)
        elif self.pieces_of_step > 1:
            loss, gradients = self._side_by_side(inputs, x, weight, part)
        else:
            loss, gradients, output = self._gradients(inputs, x, weight, part)
            self._track(loss, x, output, weight, part)
        updates = [Update(self.optimizer, gradients, variables)]
        if output is not None:
            others, more = self.other_updates(output, part)
            loss, updates = loss + tf.cast(others, loss.dtype), updates + more
        finite = apply_if_finite(loss, updates)
        self.step.assign_add(tf.cast(finite, tf.int64))
        return self.get_metrics_result()

    def _gradients(
        self,
        inputs: Any,
        x: tf.Tensor,
        weight: tf.Tensor | None,
        part: BatchPart,
        pieces: Any = 1,
    ) -> tuple[tf.Tensor, list[Any], Output]:
        """Returns the loss of some examples, its gradients and what the model made.

        Of a batch that is cut up, the losses of the pieces sum to that of the whole.
        """
        noise = RowNoise(self.seed, self.step, part.first_row, "training")
        with tf.GradientTape() as tape:
            loss, output = self._loss(inputs, x, weight, part, noise, True, pieces)
            scaled = self.optimizer.scale_loss(loss)
        return loss, tape.gradient(scaled, self.optimized_variables[0]), output

    def _piece(
        self,
        number: Any,
        pieces: Any,
        inputs: Any,
        x: tf.Tensor,
        weight: tf.Tensor | None,
        part: BatchPart,
    ) -> tuple[tf.Tensor, list[Any]]:
        """Returns the loss of one of the pieces of a batch and its gradients."""
        first = number * part.count // pieces
        last = (number + 1) * part.count // pieces
        own = keras.tree.map_structure(lambda rows: rows[first:last], inputs)
        own_weight = None if weight is None else weight[first:last]
        place = BatchPart(part.first_row + first, last - first, part.total)
        loss, gradients, output = self._gradients(
            own, x[first:last], own_weight, place, pieces
        )
        self._track(loss, x[first:last], output, own_weight, place)
        return loss, [g if g is None else tf.convert_to_tensor(g) for g in gradients]

    def _side_by_side(
        self, inputs: Any, x: tf.Tensor, weight: tf.Tensor | None, part: BatchPart
    ) -> tuple[tf.Tensor, list[Any]]:
        """As `_gradients`, the batch cut into pieces that cores work on at a time."""
        pieces = self.pieces_of_step
        with maybe_empty():
            found = [
                self._piece(number, pieces, inputs, x, weight, part)
                for number in range(pieces)
            ]
        losses, gradients = zip(*found, strict=True)
        summed = [
            None if parts[0] is None else tf.add_n(parts)
            for parts in zip(*gradients, strict=True)
        ]
        return tf.add_n(losses), summed

    def _one_by_one(
        self, inputs: Any, x: tf.Tensor, weight: tf.Tensor | None, part: BatchPart
    ) -> tuple[tf.Tensor, list[Any]]:
        """As `_gradients`, the batch cut into pieces that are worked on in turn."""
        pieces = tf.clip_by_value(part.count, 1, self.accumulate_steps)
        variables = self.optimized_variables[0]
        untouched: set[int] = set()

        def add_piece(number: tf.Tensor, total: tf.Tensor, *sums: Any) -> Any:
            loss, gradients = self._piece(number, pieces, inputs, x, weight, part)
            added = []
            for index, (one, gradient) in enumerate(zip(sums, gradients, strict=True)):
                if gradient is None:
                    untouched.add(index)
                added.append(one if gradient is None else one + gradient)
            return (number + 1, total + loss, *added)

        zeros = [tf.zeros(v.shape, v.dtype) for v in variables]
        _, total, *sums = tf.while_loop(
            lambda number, *_: number < pieces,
            add_piece,
            (0, tf.zeros(()), *zeros),
            parallel_iterations=1,
        )
        gradients = [None if i in untouched else g for i, g in enumerate(sums)]
        return total, gradients

    def test_step(self, data: Any) -> dict[str, Any]:
        """The same figures on one batch, without training; returns the metrics.

        Weights that follow a schedule have their final values, so that the loss of one
        epoch compares with that of another.
        """
        inputs, x, weight = self.unpack(data)
        part = batch_part(x)
        row = self._evaluated + tf.cast(part.first_row, tf.int64)
        noise = RowNoise(self.seed, 0, row, "evaluation")
        with final_weights():
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
        pieces: Any = 1,
    ) -> tuple[tf.Tensor, Output]:
        replicas = tf.distribute.get_strategy().num_replicas_in_sync
        each = tf.cast(pieces * replicas, tf.float32) / tf.cast(part.total, tf.float32)
        share = tf.fill([part.count], each)
        if weight is not None:
            share = share * weight
        with noise_scope(noise):
            output = self(inputs, training=training, sample_weight=share)
        loss = self.compute_loss(x, None, output, share, training=training)
        # The weights' own penalties are in the loss of every piece.
        return loss / tf.cast(pieces, loss.dtype), output

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
        self.track_more(output)

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

        Not called where a batch is cut up: a model that has it `couples_examples`.

        Returns:
            The loss of what else is trained, and its updates.
        """
        return 0.0, []
