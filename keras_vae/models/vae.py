"""The variational autoencoder (Kingma and Welling 2014; Rezende et al. 2014).

Above `VAE` are, from `keras.Model` on: `StepModel` (what the engine trains),
`SingleBatches` and `MultiStepTrainer` (Keras' methods: `fit`, `evaluate`,
`train_on_batch`), `TrainedMethods` (what one does with a trained model), `State`
(variables, configuration, how a batch is read), `Hooks` (what other models override)
and `PosteriorMethods` (how z is inferred and drawn).
"""

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_vae.arguments import checked_shape, in_range, refuse_unused
from keras_vae.engine.divergence import Update, apply_if_finite
from keras_vae.engine.microbatches import (
    Microbatch,
    accumulated,
    weighted_batch,
)
from keras_vae.models.posteriors import PosteriorMethods
from keras_vae.models.schedules import final_weights, weight_at
from keras_vae.models.state import dtype_policy_scope
from keras_vae.models.terms import (
    Latent,
    Output,
    add_to_mean,
    likelihood_params,
    replica_mean,
    sum_over_dims,
    weighted_mean,
)
from keras_vae.naming import lookup
from keras_vae.noise import Domain, RowNoise, noise_scope, samples_scope
from keras_vae.probability.likelihoods import Likelihood, likelihood_of
from keras_vae.probability.priors import PRIORS, Prior

_OLD_NAMES = {"encode_params": "infer", "decode_params": "generate"}
"""Of methods in 0.1.0: subclasses of that time override and call them."""


@keras.saving.register_keras_serializable(package="keras_vae")
class VAE(PosteriorMethods):
    """A variational autoencoder.

    It minimises -ELBO = -E_q[log p(x|z)] + beta KL(q(z|x) || p(z)) in nats per example,
    summed over pixels and latent dimensions, averaged over examples.

    Args:
        latent_dim: Number of latent dimensions, at least 1.
        input_shape: Shape of one example: (height, width, channels), (time, features)
            or (features,).
        encoder: A name in `networks.ENCODERS`, or a `keras.Model` that maps a batch of
            examples to the pair (z_mean, z_log_var), each (batch, latent_dim).
        decoder: A name in `networks.DECODERS`, or a `keras.Model` that maps
            (batch, latent_dim) to (batch, *likelihood.params_shape(input_shape)).
        likelihood: A name in `LIKELIHOODS` or a `Likelihood`.
        prior: A name in `PRIORS` or a `Prior`.
        posterior: "diagonal"; "isotropic", one variance for all dimensions; or a flow
            of the diagonal one, "iaf" (Kingma et al. 2016) or "planar" (Rezende and
            Mohamed 2015). An encoder that is a `keras.Model` then has a third output,
            the flow's context: 128 numbers for "iaf", for "planar" posterior_flows
            times 2 latent_dim + 1.
        posterior_flows: Steps of the flow, 4 by default; only with one.
        beta: Weight of the KL, a number or a `LearningRateSchedule` of training steps.
        num_samples: Samples of the posterior for each example in the loss.
        free_bits: Nats of KL for each example and dimension that cost nothing more: the
            penalty is max(KL, free_bits) (Kingma et al. 2016, without their averaging).
            Of the whole KL latent_dim times as many, where the prior has no closed one.
        seed: Of all noise. None draws one; it is saved with the model.

    Raises:
        ValueError: If an argument is out of range, a name is not known or a network's
            output does not have the shape needed.

    Example:
    >>> vae = keras_vae.VAE(latent_dim=2, input_shape=(8, 8, 1))
    >>> vae.compile(optimizer="adam")
    >>> history = vae.fit(np.zeros((16, 8, 8, 1)), epochs=1, verbose=0)
    >>> vae.sample(3).shape
    (3, 8, 8, 1)
    """

    has_kl = True
    """Whether z is drawn from a posterior, so that there is a KL to report."""

    unused: tuple[str, ...] = ()
    """Arguments of `VAE` that mean nothing to a model made of it."""

    derived_metrics = ("neg_elbo",)

    infers_condition = False
    """Whether a condition that is not given is inferred, and summed out in bounds."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for name, old in _OLD_NAMES.items():
            own = vars(cls)
            if name in own:
                setattr(cls, old, own[name])
            elif old in own:
                setattr(cls, name, own[old])

    def __init__(
        self,
        latent_dim: int,
        input_shape: tuple[int, ...],
        *,
        encoder: str | keras.Model = "mlp",
        decoder: str | keras.Model = "mlp",
        likelihood: str | Likelihood = "bernoulli",
        prior: str | Prior = "standard_normal",
        posterior: str = "diagonal",
        posterior_flows: int | None = None,
        beta: float | keras.optimizers.schedules.LearningRateSchedule = 1.0,
        num_samples: int = 1,
        free_bits: float = 0.0,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(seed=seed, **kwargs)
        options = {
            "prior": (prior, "standard_normal"),
            "posterior": (posterior, "diagonal"),
            "posterior_flows": (posterior_flows, None),
            "beta": (beta, 1.0),
            "num_samples": (num_samples, 1),
            "free_bits": (free_bits, 0.0),
        }
        refuse_unused(type(self).__name__, self.unused, options)
        self.latent_dim = in_range("latent_dim", latent_dim, 1, whole=True)
        self.data_shape = checked_shape(input_shape)
        self.num_samples = in_range("num_samples", num_samples, 1, whole=True)
        self.free_bits = in_range("free_bits", free_bits, 0)
        self.beta = beta if callable(beta) else in_range("beta", beta, 0)
        self._set_posterior(posterior, posterior_flows, prior)
        self._given = {
            "encoder": encoder,
            "decoder": decoder,
            "likelihood": likelihood,
            "prior": prior,
        }
        if isinstance(likelihood, str):
            likelihood = likelihood_of(likelihood, self.data_shape)
        self.likelihood = likelihood
        self.prior = (
            lookup("prior", prior, PRIORS)() if isinstance(prior, str) else prior
        )
        with dtype_policy_scope(self.dtype_policy):
            self.encoder, self.decoder = self._make_networks(encoder, decoder)
        self._reconstruction_tracker = keras.metrics.Mean(name="reconstruction_loss")
        self._kl_tracker = keras.metrics.Mean(name="kl_loss") if self.has_kl else None
        self._penalty_tracker = (
            keras.metrics.Mean(name="penalty_loss") if self._has_own_penalty() else None
        )

    # The model, statement by statement.

    def call(
        self,
        inputs: Any,
        training: bool | None = None,
        sample_weight: tf.Tensor | None = None,
    ) -> Output:
        """Infers z, adds the penalty on it to the losses, and generates x.

        Args:
            inputs: x, (batch, *input_shape); conditional models take (x, condition).
            training: Whether networks are in training mode. False draws the same noise
                at each call, else each call in a training loop of one's own draws
                afresh.
            sample_weight: (batch,), the weight of each example's penalty in the loss,
                which is the sum of the weighted ones: weights of 1 / batch make it the
                mean, as None does.

        Returns:
            An `Output` of tensors.
        """
        x, condition = self.split_inputs(inputs)
        noise = self.noise_of_call(training)
        with noise_scope(noise):  # of layers inside, such as dropout
            condition = self.condition_on(x, condition, noise)
            latent = self.sample_posterior(x, noise, condition, training)
            penalty = self.latent_penalty(latent)
            self.add_loss(weighted_mean(penalty, sample_weight))
            params = self.params_of(latent, condition, training)
        return Output(params, latent, condition, penalty)

    def compute_output_spec(self, *args: Any, **kwargs: Any) -> Output:
        """What `call` gives as a layer of a functional model: tensors alone."""
        output: Output = super().compute_output_spec(*args, **kwargs)
        if getattr(output.latent, "decoder_input", ()) is None:
            output = output._replace(latent=output.latent._replace(decoder_input=()))
        absent = {name: () for name, part in output._asdict().items() if part is None}
        return output._replace(**absent)

    def params_of(
        self, latent: Latent, condition: Any = None, training: bool | None = None
    ) -> tf.Tensor:
        """p(x|z) of drawn z: `(num_samples, batch, *params)`; see `decode_params`."""
        return self.decode_params(latent.z, condition, training)

    def decode_params(
        self, z: tf.Tensor, condition: Any = None, training: bool | None = None
    ) -> tf.Tensor:
        """p(x|z): z `(..., batch, latent_dim)` to float32 `(..., batch, *params)`."""
        lead = tf.shape(z)[:-1]
        flat = tf.reshape(z, [-1, self.latent_dim])
        inputs = self.decoder_input(flat, lead, condition)
        shape = self.likelihood.params_shape(self.data_shape)
        with samples_scope(z.shape[0] if z.shape.rank == 3 else 1):
            return likelihood_params(self.decoder, inputs, lead, shape, training)

    generate = decode_params

    def latent_penalty(self, latent: Latent) -> tf.Tensor:
        """The hook: what the loss adds to the reconstruction, `(batch,)` in nats.

        Here beta KL, with `free_bits`. Most objectives override this and nothing else.
        """
        kl = self.kl_by_group(latent.kl)
        if self.free_bits:
            # A KL without a closed form is that of all dimensions together.
            dims = 1 if kl.shape.rank == 2 else self.latent_dim
            kl = tf.maximum(kl, self.free_bits * dims)
        kl = sum_over_dims(kl)
        return tf.cast(self.beta_at(latent.step), kl.dtype) * kl

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> tf.Tensor:
        """Returns -log p(x|z), weighted, plus what Keras collected from `add_loss`.

        That is the penalty on z, beta KL, which `call` added, and regularizers.

        Args:
            x: (batch, *input_shape).
            y: Not used: the example is its own target.
            y_pred: The `Output` of calling the model on x.
            sample_weight: (batch,), in `fit` replicas * microbatches / global batch
                times the example's own weight; by default the mean is taken.
            training: Whether this is a training step.
        """
        reconstruction = y_pred.reconstruction_loss
        if reconstruction is None:
            reconstruction = self.reconstruction_of(x, y_pred)
        penalties = super().compute_loss(x, None, None, training=training)
        return replica_mean(reconstruction, sample_weight) + penalties

    # A step: on the whole batch of a replica, or on one microbatch after the other.

    def train_step(self, data: Any) -> dict[str, Any]:
        """One step of the optimizer on one batch; returns the metrics.

        Its noise is a function of the model's seed, its count of steps and the index
        of the example in the global batch.
        """
        variables = self.optimized_variables
        loss, gradients = accumulated(
            self._train_on,
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

        Its noise is a function of the seed and the running index of the example.
        Weights that follow a schedule have their final values, so that the loss of one
        epoch compares with that of another.
        """
        batch = weighted_batch(*self.unpack(data))
        first = self._evaluated + tf.cast(batch.span.first, tf.int64)
        noise = RowNoise(self.seed, 0, first, Domain.EVALUATION)
        with final_weights():
            loss, output = self._loss(batch, noise, training=False)
            self._track(batch, loss, output)
        self._evaluated.assign_add(tf.cast(batch.span.total, tf.int64))
        return self.get_metrics_result()

    def _train_on(self, batch: Microbatch) -> tuple[tf.Tensor, list[list[Any]]]:
        """Tracks the metrics of a microbatch; returns its loss and the gradients."""
        noise = RowNoise(self.seed, self.step, batch.span.first, Domain.TRAINING)
        with tf.GradientTape() as tape:
            loss, output = self._loss(batch, noise, training=True)
            scaled = self.optimizer.scale_loss(loss)
        gradients = tape.gradient(scaled, self.optimized_variables[0])
        self._track(batch, loss, output)
        more, other_gradients = self.other_updates(output, batch.span)
        return loss + tf.cast(more, loss.dtype), [gradients, *other_gradients]

    def _loss(
        self, batch: Microbatch, noise: RowNoise, training: bool
    ) -> tuple[tf.Tensor, Output]:
        """Returns this replica's term of the loss, and what the model made of x.

        The terms of all replicas and all their microbatches sum to the loss.
        """
        # An example weighs 1 / (global batch) times its own weight. Here that is times
        # microbatches * replicas, since the loss of a microbatch is divided by both.
        # What does not come from examples (regularizers) is in the loss of each replica
        # and microbatch. Keras divides by the replicas, in `compute_loss`.
        replicas = tf.distribute.get_strategy().num_replicas_in_sync
        weight = batch.weight * tf.cast(batch.microbatches * replicas, tf.float32)
        with noise_scope(noise):
            output = self(batch.inputs, training=training, sample_weight=weight)
        reconstruction = self.reconstruction_of(batch.x, output)
        output = output._replace(reconstruction_loss=reconstruction)
        loss = self.compute_loss(batch.x, None, output, weight, training=training)
        return loss / tf.cast(batch.microbatches, loss.dtype), output

    def _track(self, batch: Microbatch, loss: tf.Tensor, output: Output) -> None:
        """Adds the loss of a microbatch and the terms it is made of to the metrics."""

        def add(metric: keras.metrics.Mean, mean: tf.Tensor) -> None:
            total = mean * tf.cast(batch.span.total, mean.dtype)
            add_to_mean(metric, total, batch.span.count)

        def add_each(metric: keras.metrics.Mean, values: tf.Tensor) -> None:
            add(metric, weighted_mean(values, batch.weight))

        latent = output.latent
        add(self._loss_tracker, loss)
        add_each(self._reconstruction_tracker, output.reconstruction_loss)
        if self._kl_tracker is not None:
            add_each(self._kl_tracker, sum_over_dims(latent.kl))
        if self._penalty_tracker is not None:
            penalty = output.penalty
            if penalty is None:  # of a subclass that has a `call` of its own
                penalty = self.latent_penalty(latent)
            add_each(self._penalty_tracker, penalty)
        self.track_more(output)

    def get_metrics_result(self) -> dict[str, Any]:
        """Returns the metrics by name, and -ELBO where the model has one."""
        metrics: dict[str, Any] = super().get_metrics_result()
        if "kl_loss" in metrics:
            metrics["neg_elbo"] = metrics["reconstruction_loss"] + metrics["kl_loss"]
        return metrics

    def predict_step(self, data: Any) -> tf.Tensor:
        """`predict` is `reconstruct`."""
        inputs, x, _ = self.unpack(data)
        _, condition = self.split_inputs(inputs)
        noise = RowNoise(self.seed, domain=Domain.EVALUATION)
        condition = self.condition_on(x, condition, noise)
        return self.means(self.encode_params(x, condition)[0], condition)

    def _has_own_penalty(self) -> bool:
        overridden = type(self).latent_penalty is not VAE.latent_penalty
        return overridden or self.free_bits > 0

    # What is generated.

    def means(self, z: tf.Tensor, condition: Any = None) -> tf.Tensor:
        """E[x|z] in the data's units, (..., batch, *input_shape)."""
        x = self.to_data(self.likelihood.mean(self.decode_params(z, condition)))
        return self.merge_observed(x, condition)

    def draws(self, z: tf.Tensor, noise: RowNoise, condition: Any = None) -> tf.Tensor:
        """Draws x from p(x|z), z (batch, latent_dim), in the data's units."""
        x = self.likelihood.sample(self.decode_params(z, condition), noise)
        return self.merge_observed(self.to_data(x), condition)

    # Terms of the loss.

    def reconstruction_of(self, x: tf.Tensor, output: Output) -> tf.Tensor:
        """-E_q[log p(x|z)] of what calling the model returned, `(batch,)` in nats."""
        return self.reconstruction_loss(x, output.params, output.condition)

    def reconstruction_loss(
        self, x: tf.Tensor, params: tf.Tensor, condition: Any = None
    ) -> tf.Tensor:
        """-log p(x|z), the mean over samples, `(batch,)` in nats."""
        return -tf.reduce_mean(self.log_likelihood(x, params, condition), axis=0)

    def log_likelihood(
        self, x: tf.Tensor, params: tf.Tensor, condition: Any = None
    ) -> tf.Tensor:
        """Returns log p(x|z) of data in their own units, (num_samples, batch)."""
        weight = self.likelihood_weight(condition)
        log_prob = self.likelihood.log_prob(self.to_model(x), params, weight)
        if self.data_scale is None:
            return log_prob
        log_scale = tf.math.log(self.data_scale.value)
        times = float(np.prod(self.data_shape[:-1]))
        return log_prob - tf.cast(times * tf.reduce_sum(log_scale), log_prob.dtype)

    def beta_at(self, step: Any) -> tf.Tensor:
        """The weight of the KL at a training step, float32."""
        return tf.cast(weight_at(self.beta, step), tf.float32)
