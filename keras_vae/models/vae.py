"""The variational autoencoder (Kingma and Welling 2014; Rezende et al. 2014)."""

import contextlib
import copy
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_vae import networks
from keras_vae.data.pipeline import as_unit
from keras_vae.models.arguments import checked_shape, in_range, refuse_unused
from keras_vae.models.network_shapes import check_output, check_pair
from keras_vae.models.schedules import weight_at
from keras_vae.models.steps import Steps
from keras_vae.models.terms import (
    Latent,
    Output,
    call_on_rows,
    replica_mean,
    sum_over_dims,
    weighted_sum,
)
from keras_vae.naming import lookup
from keras_vae.noise import RowNoise, copies_scope, noise_scope
from keras_vae.probability.aggregate import AggregateDensity
from keras_vae.probability.distributions import NormalByRow, bound_log_var, widened
from keras_vae.probability.likelihoods import LIKELIHOODS, Likelihood
from keras_vae.probability.priors import PRIORS, Prior

POSTERIORS = ("diagonal", "isotropic")
"""One variance for each dimension, or one for all."""


@keras.saving.register_keras_serializable(package="keras_vae")
class VAE(Steps):
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

    unused: tuple[str, ...] = ()
    """Arguments of `VAE` that mean nothing to a model made of it."""

    infers_condition = False
    """Whether a condition that is not given is inferred, and summed out in bounds."""

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
        options = {
            "prior": (prior, "standard_normal"),
            "posterior": (posterior, "diagonal"),
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
            training: Whether networks are in training mode. False draws the same noise
                at each call, else each call in a training loop of one's own draws
                afresh.
            sample_weight: (batch,), the weight of each example's penalty in the loss;
                by default the mean is taken.

        Returns:
            An `Output` of tensors.
        """
        x, condition = self.split_inputs(inputs)
        noise = self.noise_of_call(training)
        with noise_scope(noise):
            condition = self.condition_on(x, condition, noise)
            z_mean, z_log_var = self.infer(x, condition, training)
            latent = self.sample_latent(z_mean, z_log_var, noise, condition)
            penalty = self.latent_penalty(latent)
            if sample_weight is None:
                self.add_loss(tf.reduce_mean(penalty))
            else:
                self.add_loss(weighted_sum(penalty, sample_weight))
            params = self.generate(latent.z, condition, training)
        return Output(params, latent, condition)

    def compute_output_spec(self, *args: Any, **kwargs: Any) -> Output:
        """What `call` gives as a layer of a functional model: tensors alone."""
        output: Output = super().compute_output_spec(*args, **kwargs)
        return output if output.condition is not None else output._replace(condition=())

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
        with copies_scope(z.shape[0] if z.shape.rank == 3 else 1):
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
        penalties = super().compute_loss(x, None, None, training=training)
        return replica_mean(reconstruction, sample_weight) + penalties

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

    # The density of the aggregate posterior, where one has been fitted.

    def to_aggregate(self, z: tf.Tensor, condition: Any = None) -> tf.Tensor:
        """What the density is of, for z (batch, latent_dim): z itself, here."""
        return z

    def aggregate_log_prob(self, z: tf.Tensor, condition: Any = None) -> tf.Tensor:
        """Returns the log density of z (batch, latent_dim) in nats, (batch,)."""
        return self.aggregate.log_prob(z)  # type: ignore[union-attr]

    def aggregate_sample(self, n: Any, seed: Any, condition: Any = None) -> tf.Tensor:
        """Draws z from it, (n, latent_dim)."""
        return self.aggregate.sample(n, seed)  # type: ignore[union-attr]

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
        return tf.cast(weight_at(self.beta, step), tf.float32)

    # Units.

    def to_model(self, x: tf.Tensor) -> tf.Tensor:
        """Data in their own units to the networks' units."""
        if self.data_scale is None:
            return x
        mean, scale = (
            tf.cast(statistic.value, x.dtype)
            for statistic in (self.data_mean, self.data_scale)
        )
        return (x - mean) / scale

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
        self.calls = self.add_weight(
            name="calls",
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
                autocast=False,
            )
            self.data_scale = self.add_weight(
                name="data_scale",
                shape=shape,
                initializer="ones",
                trainable=False,
                dtype="float32",
                autocast=False,
            )
        self.likelihood.build((None, *self.data_shape))
        self.prior.set_examples(self.data_shape, self.condition_spec)
        self.prior.build((None, self.latent_dim))
        if self.aggregate is not None:
            self.aggregate.build((None, self.latent_dim))
        self.check_networks()
        self.built = True

    def load_own_variables(self, store: Any) -> None:
        """Reads the model's own variables; files of 0.1.0 have no count of calls."""
        saved = [store[str(index)] for index in range(len(store.keys()))]
        own = self._trainable_variables + self._non_trainable_variables
        if len(saved) == len(own) - 1:
            place = next(i for i, v in enumerate(own) if v is self.calls)
            saved.insert(place, np.zeros((), np.int64))
        super().load_own_variables({str(i): value for i, value in enumerate(saved)})

    def check_networks(self) -> None:
        """Calls the networks symbolically; raises a ValueError where a shape is off."""
        x, z = self.symbolic_inputs()
        self.check_pair("encoder", self.encoder, x)
        shape = self.likelihood.params_shape(self.data_shape)
        what = f"the parameters of {type(self.likelihood).__name__},"
        check_output("decoder", self.decoder, z, shape, what)

    def symbolic_inputs(self) -> tuple[Any, Any]:
        """What the encoder and the decoder are called with, as symbolic tensors."""
        x = keras.KerasTensor((None, *self.data_shape))
        return x, keras.KerasTensor((None, self.latent_dim))

    def check_pair(
        self, argument: str, network: Any, x: Any, size: int | None = None
    ) -> None:
        """Raises a ValueError unless a network gives means and log variances."""
        check_pair(argument, network, x, size or self.latent_dim)

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
                # Keras empties what it reads.
                config[name] = keras.saving.deserialize_keras_object(
                    copy.deepcopy(value), custom_objects=custom_objects
                )
        aggregate = config.pop("aggregate", None)
        model = cls(**config)
        if aggregate is not None:
            model.aggregate = aggregate
        return model


@contextlib.contextmanager
def _dtype_policy(policy: Any) -> Iterator[None]:
    """Makes layers under `policy`: a loaded model keeps the one it was saved with."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)
