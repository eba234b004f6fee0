"""The state of a VAE: its networks and variables, its configuration, its input."""

import contextlib
import copy
from collections.abc import Iterator, Sequence
from typing import Any, Self

import keras
import numpy as np
import tensorflow as tf

from keras_vae import networks
from keras_vae.data.pipeline import as_unit
from keras_vae.engine.inputs import (
    check_numbers,
    check_weights,
    check_weights_shape,
    weights_fit,
)
from keras_vae.models import mistakes
from keras_vae.models.inference import TrainedMethods
from keras_vae.models.network_shapes import check_output, check_pair
from keras_vae.naming import lookup
from keras_vae.networks.flows import Flow
from keras_vae.noise import Domain, RowNoise, current_noise
from keras_vae.probability.aggregate import AggregateDensity

_CALLS = 2**48  # beyond what any model is called

_TERMS = {
    "reconstruction_loss": "reconstruction",
    "kl_loss": "KL",
    "penalty_loss": "penalty",
}


class State(TrainedMethods):
    """What a `VAE` is made of and how it is saved, and how it reads a batch."""

    step: keras.Variable
    """Counts training steps, from `build` on; schedules of weights and capacities go by
    it. `fit` advances it; a loop of your own does so by `step.assign_add(1)`."""

    calls: keras.Variable
    """Counts the calls that were no step of `fit`, in training mode."""

    flow: Flow | None = None
    """What draws of the encoder's normal go through, where the posterior is a flow."""

    aggregate: AggregateDensity | None = None
    """The density of the aggregate posterior, once it has been fitted."""

    # Variables.

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
            column = {
                "shape": self.data_shape[-1:],
                "trainable": False,
                "dtype": "float32",
                "autocast": False,
            }
            self.data_mean = self.add_weight(
                name="data_mean", initializer="zeros", **column
            )
            self.data_scale = self.add_weight(
                name="data_scale", initializer="ones", **column
            )
        self.likelihood.build((None, *self.data_shape))
        self.prior.set_examples(self.data_shape, self.condition_spec)
        self.prior.build((None, self.latent_dim))
        if self.flow is not None:
            self.flow.build((None, self.latent_dim))
        if self.aggregate is not None:
            self.aggregate.build((None, self.latent_dim))
        self.check_networks()
        self.built = True

    def load_own_variables(self, store: Any) -> None:
        """Reads the model's own variables; files of 0.1.0 have no count of calls."""
        saved = [store[str(index)] for index in range(len(store.keys()))]
        own = self._trainable_variables + self._non_trainable_variables
        if len(saved) == len(own) - 1:
            index = next(i for i, v in enumerate(own) if v is self.calls)
            saved.insert(index, np.zeros((), np.int64))
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
        context = self.encoder_options.get("context", 0) if argument == "encoder" else 0
        check_pair(argument, network, x, size or self.latent_dim, context)

    def likely_mistakes(self) -> list[mistakes.LikelyMistake]:
        """Finds channels that come first, and a decoder that ends in a sigmoid."""
        return mistakes.likely_mistakes(self)

    def failed_terms(self, metrics: Sequence[str]) -> list[str]:
        """Returns which terms of the loss the metrics of these names belong to."""
        terms = [words for name, words in _TERMS.items() if name in metrics]
        if "KL" in terms and "penalty" in terms:  # the one is made of the other
            terms.remove("penalty")
        return terms

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

    def _make_networks(self, encoder: Any, decoder: Any) -> tuple[Any, Any]:
        if isinstance(encoder, str):
            make_encoder = lookup("encoder", encoder, networks.ENCODERS)
            encoder = make_encoder(
                self.data_shape, self.latent_dim, **self.encoder_options
            )
        if isinstance(decoder, str):
            make_decoder = lookup("decoder", decoder, networks.DECODERS)
            params_shape = self.likelihood.params_shape(self.data_shape)
            gain = self.likelihood.output_gain
            decoder = make_decoder(self.latent_dim, params_shape, output_gain=gain)
        return encoder, decoder

    @property
    def encoder_options(self) -> dict[str, Any]:
        """Options of an encoder that is made by name: the context of the flow."""
        return {} if self.flow is None else {"context": self.flow.context_size}

    def reset_metrics(self) -> None:
        """Starts the metrics anew, and the running index of evaluated examples."""
        super().reset_metrics()
        if self.built:
            self._evaluated.assign(0)

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

    # Noise.

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
            return RowNoise(self.seed, self.step, domain=Domain.CALL)
        self.calls.assign_add(1)
        context = tf.distribute.get_replica_context()
        replica = 0 if context is None else context.replica_id_in_sync_group
        number = tf.convert_to_tensor(self.calls)
        number += tf.cast(replica, tf.int64) * _CALLS
        return RowNoise(self.seed, number, domain=Domain.TRAINING_CALL)

    # A batch, as it comes.

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

    # Configuration.

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
        flows = {} if self.flow is None else {"posterior_flows": self.flow.steps}
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
            **flows,
            "aggregate": None
            if self.aggregate is None
            else keras.saving.serialize_keras_object(self.aggregate),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Self:
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
def dtype_policy_scope(policy: Any) -> Iterator[None]:
    """Makes layers under `policy`: a loaded model keeps the one it was saved with."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)
