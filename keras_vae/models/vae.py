"""The variational autoencoder (Kingma and Welling 2014; Rezende et al. 2014)."""

import contextlib
import math
import numbers
from collections.abc import Iterator
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from keras_vae import networks
from keras_vae.data.pipeline import as_unit
from keras_vae.models.divergence import apply_if_finite
from keras_vae.models.inference import Inference
from keras_vae.models.trainer import BatchPart, add_to_mean, batch_part
from keras_vae.naming import lookup
from keras_vae.probability.aggregate import AggregateDensity
from keras_vae.probability.distributions import NormalByRow, bound_log_var, widened
from keras_vae.probability.likelihoods import LIKELIHOODS, Likelihood
from keras_vae.probability.noise import RowNoise, current_noise, noise_scope
from keras_vae.probability.priors import PRIORS, Prior

POSTERIORS = ("diagonal", "isotropic")
"""One variance for each dimension, or one for all."""


class Latent(NamedTuple):
    """What is known of z for a batch; all a `latent_penalty` may want."""

    z_mean: Any
    """(batch, latent_dim)"""
    z_log_var: Any
    """(batch, latent_dim)"""
    z: Any
    """Samples of the posterior, (num_samples, batch, latent_dim)."""
    log_q: Any
    """log q(z|x) of the samples in nats, (num_samples, batch)."""
    log_p: Any
    """log p(z) of the samples in nats, (num_samples, batch)."""
    kl: Any
    """KL(q(z|x) || p(z)) in nats, (batch, latent_dim) where the prior factorises, else
    the samples' mean of log q - log p, (batch,)."""
    step: Any
    """Training steps so far, int64."""


class Output(NamedTuple):
    """What calling the model returns."""

    params: Any
    """The likelihood's parameters, (num_samples, batch, *params_shape)."""
    latent: Latent
    condition: Any = None
    """What the examples were conditioned on, in conditional models."""


@keras.saving.register_keras_serializable(package="keras_vae")
class VAE(Inference):
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
        posterior: "diagonal", or "isotropic": one variance for all dimensions.
        beta: Weight of the KL, a number or a `LearningRateSchedule` of training steps.
        num_samples: Samples of the posterior for each example in the loss.
        free_bits: Nats of KL for each example and dimension that cost nothing more: the
            penalty is max(KL, free_bits) (Kingma et al. 2016, without their averaging).
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

    aggregate: AggregateDensity | None = None
    """The density of the aggregate posterior, once it has been fitted."""

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
        beta: float | keras.optimizers.schedules.LearningRateSchedule = 1.0,
        num_samples: int = 1,
        free_bits: float = 0.0,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(seed=seed, **kwargs)
        self.latent_dim = _at_least("latent_dim", latent_dim, 1, whole=True)
        self.data_shape = _checked_shape(input_shape)
        self.num_samples = _at_least("num_samples", num_samples, 1, whole=True)
        self.free_bits = _at_least("free_bits", free_bits, 0)
        self.beta = beta if callable(beta) else _at_least("beta", beta, 0)
        lookup("posterior", posterior, dict.fromkeys(POSTERIORS))
        self.posterior_family = posterior
        self._given = {
            "encoder": encoder,
            "decoder": decoder,
            "likelihood": likelihood,
            "prior": prior,
        }
        self.likelihood = self._make_likelihood(likelihood)
        self.prior = (
            lookup("prior", prior, PRIORS)() if isinstance(prior, str) else prior
        )
        with _dtype_policy(self.dtype_policy):
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
            training: Whether networks are in training mode.
            sample_weight: (batch,), the weight of each example's penalty in the loss;
                by default the mean is taken.

        Returns:
            An `Output` of tensors.
        """
        x, condition = self.split_inputs(inputs)
        noise = current_noise() or RowNoise(self.seed, self.step, domain="call")
        condition = self.condition_on(x, condition, noise)
        z_mean, z_log_var = self.infer(x, condition, training)
        latent = self.sample_latent(z_mean, z_log_var, noise, condition)
        penalty = self.latent_penalty(latent)
        if sample_weight is None:
            self.add_loss(tf.reduce_mean(penalty))
        else:
            self.add_loss(_weighted_sum(penalty, sample_weight))
        params = self.generate(latent.z, condition, training)
        return Output(params, latent, condition)

    def infer(
        self, x: tf.Tensor, condition: Any = None, training: bool | None = None
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """q(z|x): returns z_mean and z_log_var, float32 `(batch, latent_dim)` each."""
        z_mean, raw_log_var = call_on_rows(
            self.encoder, self.encoder_input(x, condition), training
        )
        z_log_var = bound_log_var(raw_log_var)
        if self.posterior_family == "isotropic":
            shared = tf.reduce_mean(z_log_var, axis=-1, keepdims=True)
            z_log_var = tf.broadcast_to(shared, tf.shape(z_mean))
        return widened(z_mean), z_log_var

    def sample_latent(
        self,
        z_mean: tf.Tensor,
        z_log_var: tf.Tensor,
        noise: RowNoise,
        condition: Any = None,
        num_samples: int | None = None,
    ) -> Latent:
        """Draws reparameterised samples of q(z|x) and measures them against p(z)."""
        q = NormalByRow(z_mean, tf.exp(0.5 * z_log_var), noise)
        z = q.sample(num_samples or self.num_samples)
        log_q = tf.reduce_sum(q.log_prob(z), axis=-1)
        log_p = self.prior_log_prob(z, condition)
        kl = self.prior_kl(z_mean, z_log_var, condition)
        if kl is None:
            kl = tf.reduce_mean(log_q - log_p, axis=0)
        return Latent(z_mean, z_log_var, z, log_q, log_p, kl, self.step)

    def generate(
        self, z: tf.Tensor, condition: Any = None, training: bool | None = None
    ) -> tf.Tensor:
        """p(x|z): z `(..., batch, latent_dim)` to float32 `(..., batch, *params)`."""
        lead = tf.shape(z)[:-1]
        flat = tf.reshape(z, [-1, self.latent_dim])
        params = call_on_rows(
            self.decoder, self.decoder_input(flat, lead, condition), training
        )
        params = widened(params)
        shape = self.likelihood.params_shape(self.data_shape)
        return tf.reshape(params, tf.concat([lead, shape], axis=0))

    def latent_penalty(self, latent: Latent) -> tf.Tensor:
        """The hook: what the loss adds to the reconstruction, `(batch,)` in nats.

        Here beta KL, with `free_bits`. Other objectives override this and nothing else.
        """
        kl = latent.kl
        if self.free_bits:
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

        Args:
            x: (batch, *input_shape).
            y: Not used: the example is its own target.
            y_pred: The `Output` of calling the model on x.
            sample_weight: (batch,), weights that sum to the number of replicas over the
                global batch; by default the mean is taken.
            training: Whether this is a training step.
        """
        reconstruction = self.reconstruction_loss(x, y_pred.params, y_pred.condition)
        if sample_weight is None:
            reconstruction = tf.reduce_mean(reconstruction)
        else:
            reconstruction = _weighted_sum(reconstruction, sample_weight)
        replicas = tf.distribute.get_strategy().num_replicas_in_sync
        # Keras divides the sum of `losses` by the number of replicas in the same way.
        return reconstruction / replicas + super().compute_loss(
            x, None, None, training=training
        )

    # Steps.

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
            add_to_mean(tracker, _weighted_sum(figure, weights), part.count)

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

    # Parts that conditional models change.

    def split_inputs(self, inputs: Any) -> tuple[tf.Tensor, Any]:
        """Returns x and the condition, which is None here."""
        return as_unit(inputs), None

    def condition_on(self, x: tf.Tensor, condition: Any, noise: RowNoise) -> Any:
        """What x is conditioned on where no condition came with it: nothing here."""
        return condition

    def completed(self, x: tf.Tensor, condition: Any) -> tf.Tensor:
        """Generated x, with what the condition says of it in its place."""
        return x

    def likelihood_weight(self, condition: Any) -> tf.Tensor | None:
        """The weight of each element of x in log p(x|z); None: all count."""
        return None

    def encoder_input(self, x: tf.Tensor, condition: Any) -> Any:
        """What the encoder is called with."""
        return self.to_model(x)

    def decoder_input(self, z: tf.Tensor, lead: tf.Tensor, condition: Any) -> Any:
        """What the decoder is called with; z is `(prod(lead), latent_dim)`."""
        return z

    def prior_log_prob(self, z: tf.Tensor, condition: Any = None) -> tf.Tensor:
        """Returns log p(z) in nats, (num_samples, batch)."""
        return self.prior.log_prob(z, self.infer)

    def prior_kl(
        self, z_mean: tf.Tensor, z_log_var: tf.Tensor, condition: Any = None
    ) -> tf.Tensor | None:
        """KL(q(z|x) || p(z)) where it has a closed form, else None."""
        return self.prior.kl(z_mean, z_log_var)

    def prior_sample(self, n: Any, seed: Any, condition: Any = None) -> tf.Tensor:
        """Draws z from p(z), (n, latent_dim)."""
        return self.prior.sample(n, seed, self.infer)

    # What is generated.

    def means(self, z: tf.Tensor, condition: Any = None) -> tf.Tensor:
        """E[x|z] in the data's units, (..., batch, *input_shape)."""
        x = self.to_data(self.likelihood.mean(self.generate(z, condition)))
        return self.completed(x, condition)

    def draws(self, z: tf.Tensor, noise: RowNoise, condition: Any = None) -> tf.Tensor:
        """Draws x from p(x|z), z (batch, latent_dim), in the data's units."""
        x = self.likelihood.sample(self.generate(z, condition), noise)
        return self.completed(self.to_data(x), condition)

    # Figures.

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
        value = self.beta(step) if callable(self.beta) else self.beta
        return tf.cast(value, tf.float32)

    # Units.

    def to_model(self, x: tf.Tensor) -> tf.Tensor:
        """Data in their own units to the networks' units."""
        if self.data_scale is None:
            return x
        return (x - self.data_mean.value) / self.data_scale.value

    def to_data(self, x: tf.Tensor) -> tf.Tensor:
        """The networks' units to the data's own."""
        if self.data_scale is None:
            return x
        scale = tf.cast(self.data_scale.value, x.dtype)
        return x * scale + tf.cast(self.data_mean.value, x.dtype)

    # State.

    def build(self, input_shape: Any = None) -> None:
        """Makes all state: the model knows its shapes from its arguments."""
        counter = {"shape": (), "initializer": "zeros", "trainable": False}
        self.step = self.add_weight(
            name="step",
            dtype="int64",
            aggregation="only_first_replica",
            **counter,
        )
        self._evaluated = self.add_weight(
            name="evaluated",
            dtype="int64",
            aggregation="only_first_replica",
            **counter,
        )
        self.data_mean: Any = None
        self.data_scale: Any = None
        if len(self.data_shape) < 3 and not self.likelihood.unit_interval:
            shape = self.data_shape[-1:]
            self.data_mean = self.add_weight(
                name="data_mean",
                shape=shape,
                initializer="zeros",
                trainable=False,
                dtype="float32",
            )
            self.data_scale = self.add_weight(
                name="data_scale",
                shape=shape,
                initializer="ones",
                trainable=False,
                dtype="float32",
            )
        self.likelihood.build((None, *self.data_shape))
        self.prior.set_examples(self.data_shape, self.condition_spec)
        self.prior.build((None, self.latent_dim))
        if self.aggregate is not None:
            self.aggregate.build((None, self.latent_dim))
        self.check_networks()
        self.built = True

    def check_networks(self) -> None:
        """Calls the networks symbolically; raises a ValueError where a shape is off."""
        x, z = self.symbolic_inputs()
        self.check_pair("encoder", self.encoder, x)
        params = self._output_shape("decoder", self.decoder, z)
        needed = (None, *self.likelihood.params_shape(self.data_shape))
        if tuple(getattr(params, "shape", ())) != needed:
            raise ValueError(
                f"Invalid value for argument `decoder`. Expected a model that returns "
                f"the parameters of {type(self.likelihood).__name__}, of shape "
                f"{needed}. Received one that returns shape "
                f"{getattr(params, 'shape', params)}."
            )

    def symbolic_inputs(self) -> tuple[Any, Any]:
        """What the encoder and the decoder are called with, as symbolic tensors."""
        x = keras.KerasTensor((None, *self.data_shape))
        return x, keras.KerasTensor((None, self.latent_dim))

    def check_pair(
        self, argument: str, network: Any, x: Any, size: int | None = None
    ) -> None:
        """Raises a ValueError unless a network gives means and log variances."""
        pair = self._output_shape(argument, network, x)
        pair = list(pair) if isinstance(pair, list | tuple) else [pair]
        wanted = (None, size or self.latent_dim)
        shapes = [getattr(part, "shape", part) for part in pair]
        if shapes != [wanted, wanted]:
            raise ValueError(
                f"Invalid value for argument `{argument}`. Expected a model that "
                f"returns the pair (z_mean, z_log_var), each of shape {wanted}. "
                f"Received one that returns shapes {shapes}."
            )

    def set_aggregate(self, density: AggregateDensity | None) -> None:
        """Keeps a density of the aggregate posterior, saved and exported from now on.

        See `keras_vae.evaluation.samplers.fit_aggregate`.
        """
        self.ensure_built()
        # Keras locks what a built model holds; this is no part of what is trained.
        self._tracker.unlock()
        if self.aggregate is not None:
            self._tracker.untrack(self.aggregate)
            self.aggregate = None
        if density is not None:
            density.build((None, self.latent_dim))
            self.aggregate = density
        self._tracker.lock()

    def _output_shape(self, argument: str, network: Any, x: Any) -> Any:
        try:
            return network(x)
        except Exception as error:
            shape = keras.tree.map_structure(lambda part: tuple(part.shape), x)
            raise ValueError(
                f"Invalid value for argument `{argument}`. Expected a model that can "
                f"be called on shape {shape}. Received one that fails there: {error}"
            ) from error

    def _make_likelihood(self, likelihood: str | Likelihood) -> Likelihood:
        if not isinstance(likelihood, str):
            return likelihood
        kind = lookup("likelihood", likelihood, LIKELIHOODS)
        return kind(image=len(self.data_shape) == 3)

    def _make_networks(self, encoder: Any, decoder: Any) -> tuple[Any, Any]:
        if isinstance(encoder, str):
            make_encoder = lookup("encoder", encoder, networks.ENCODERS)
            encoder = make_encoder(self.data_shape, self.latent_dim)
        if isinstance(decoder, str):
            make_decoder = lookup("decoder", decoder, networks.DECODERS)
            params_shape = self.likelihood.params_shape(self.data_shape)
            decoder = make_decoder(self.latent_dim, params_shape)
        return encoder, decoder

    def _has_own_penalty(self) -> bool:
        overridden = type(self).latent_penalty is not VAE.latent_penalty
        return overridden or self.free_bits > 0

    def reset_metrics(self) -> None:
        """Starts the figures anew, and the running index of evaluated examples."""
        super().reset_metrics()
        if self.built:
            self._evaluated.assign(0)

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments; networks and other objects serialised."""
        config = {
            name: value
            if isinstance(value, str)
            else keras.saving.serialize_keras_object(value)
            for name, value in self._given.items()
        }
        beta = self.beta
        if callable(beta):
            beta = keras.saving.serialize_keras_object(beta)
        return {
            **super().get_config(),
            **config,
            "latent_dim": self.latent_dim,
            "input_shape": list(self.data_shape),
            "posterior": self.posterior_family,
            "beta": beta,
            "num_samples": self.num_samples,
            "free_bits": self.free_bits,
            "seed": self.seed,
            "aggregate": None
            if self.aggregate is None
            else keras.saving.serialize_keras_object(self.aggregate),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> "VAE":
        """Makes a model from what `get_config` returned."""
        config = dict(config)
        for name, value in config.items():
            if isinstance(value, dict) and "class_name" in value:
                config[name] = keras.saving.deserialize_keras_object(
                    value, custom_objects=custom_objects
                )
        aggregate = config.pop("aggregate", None)
        model = cls(**config)
        if aggregate is not None:
            model.aggregate = aggregate
        return model


def call_on_rows(network: Any, inputs: Any, training: bool | None) -> Any:
    """Calls a network on a replica's part of a batch, which may be empty.

    A network is then lent one example of zeros: some convolutions fail on none, and the
    statistics that normalisation takes of none are NaN.
    """
    if tf.distribute.get_strategy().num_replicas_in_sync == 1:
        return network(inputs, training=training)
    rows = tf.shape(keras.tree.flatten(inputs)[0])[0]
    lent = tf.cast(tf.equal(rows, 0), tf.int32)

    def lend(part: tf.Tensor) -> tf.Tensor:
        shape = tf.concat([[lent], tf.shape(part)[1:]], axis=0)
        return tf.concat([part, tf.zeros(shape, part.dtype)], axis=0)

    outputs = network(keras.tree.map_structure(lend, inputs), training=training)
    return keras.tree.map_structure(lambda output: output[:rows], outputs)


def _weighted_sum(figures: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
    return tf.reduce_sum(tf.cast(weights, figures.dtype) * figures)


def replica_mean(figure: tf.Tensor, weight: tf.Tensor | None) -> tf.Tensor:
    """This replica's part of the mean of a figure over the global batch.

    Keras scales what `add_loss` collects in the same way: the parts of all replicas,
    and so their gradients, sum to the whole.
    """
    replicas = tf.distribute.get_strategy().num_replicas_in_sync
    if weight is None:
        return tf.reduce_mean(figure) / replicas
    return tf.reduce_sum(weight * figure) / replicas


def sum_over_dims(kl: tf.Tensor) -> tf.Tensor:
    """(batch, latent_dim) or (batch,) to (batch,)."""
    return kl if kl.shape.rank == 1 else tf.reduce_sum(kl, axis=-1)


@contextlib.contextmanager
def _dtype_policy(policy: Any) -> Iterator[None]:
    """Makes layers under `policy`: a loaded model keeps the one it was saved with."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def _at_least(argument: str, value: Any, minimum: int, whole: bool = False) -> Any:
    kind: type = numbers.Integral if whole else numbers.Real
    number = isinstance(value, kind) and not isinstance(value, bool)
    if not number or not minimum <= value < math.inf:
        raise ValueError(
            f"Invalid value for argument `{argument}`. Expected a "
            f"{'whole ' if whole else ''}number of at least {minimum}. Received: "
            f"{argument}={value!r}."
        )
    return int(value) if whole else float(value)


def _checked_shape(input_shape: Any) -> tuple[int, ...]:
    sizes = np.atleast_1d(input_shape)
    whole = all(isinstance(size, numbers.Integral) for size in sizes)
    shape = tuple(int(size) for size in sizes) if whole else ()
    if not 1 <= len(shape) <= 3 or min(shape) < 1:
        raise ValueError(
            "Invalid value for argument `input_shape`. Expected (height, width, "
            "channels), (time, features) or (features,), each at least 1. Received: "
            f"input_shape={input_shape!r}."
        )
    return shape
