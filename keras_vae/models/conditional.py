"""The conditional VAE: p(x|z, c), given a label, a vector or a region of the image."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_vae.data import pipeline
from keras_vae.engine import chunks
from keras_vae.engine.feeds import checked_batch_size
from keras_vae.engine.inputs import as_data, check_numbers, is_array
from keras_vae.models.conditional_networks import (
    conditional_decoder,
    conditional_encoder,
    is_flat,
    prior_network,
    takes_pair,
)
from keras_vae.models.conditions import (
    Region,
    Vector,
    joined,
    joined_shape,
    make_condition,
)
from keras_vae.models.inference import ADAPT_EXAMPLES
from keras_vae.models.terms import normal_params
from keras_vae.models.vae import VAE
from keras_vae.noise import Domain, RowNoise
from keras_vae.probability.priors import Prior, StandardNormal


@keras.saving.register_keras_serializable(package="keras_vae")
class ConditionalNormal(Prior):
    """The noise e of a learned p(z|c): z = mean(c) + scale(c) e, e of N(0, I)."""

    log_prob = StandardNormal.log_prob
    sample = StandardNormal.sample
    kl = StandardNormal.kl


@keras.saving.register_keras_serializable(package="keras_vae")
class CVAE(VAE):
    """A conditional VAE (Sohn et al. 2015, equation 4).

    It minimises -E_q[log p(x|z,c)] + beta KL(q(z|x,c) || p(z|c)) for the condition c,
    where p(z|c) is p(z), or learned: the standard normal, shifted and scaled by a
    network of c.

    Given a region of the image, x is completed: the likelihood is that of the pixels
    not given, `reconstruction_loss` and `elbo` are of them alone, and in all that is
    generated the given pixels are as they were. Regions are cut from x itself where no
    condition comes with it, random ones that depend on the index in the batch.

    Networks are ordinary ones. One with a single input takes x, or z, and the condition
    in one tensor (`conditional_encoder` and `conditional_decoder` make them); one with
    two inputs takes the pair [x, code] or [z, code], the code being float32: one-hot
    `(batch, num_classes)`, the vector (standardised if `adapt` has seen it), the
    region, or the given pixels and the mask `(batch, height, width, channels + 1)`.

    Args: as `VAE`, and
        condition: "label", "vector", "left_half", "right_half", "top_half",
            "bottom_half" (that half is given) or "mask" (any region is given).
        num_classes: How many labels there are, for "label".
        condition_shape: Of one condition, for "vector".
        prior: As for `VAE`; or "conditional", the learned p(z|c), or a `keras.Model`
            from the code to the pair (mean, log variance), each (batch, latent_dim).

    Raises:
        ValueError: As `VAE`, and if the condition does not go with the data.

    Example:
    >>> x, y = np.zeros((16, 8, 8, 1)), np.arange(16) % 10
    >>> cvae = keras_vae.CVAE(2, (8, 8, 1), condition="label", num_classes=10)
    >>> cvae.compile(optimizer="adam")
    >>> history = cvae.fit(x, y, epochs=1, verbose=0)
    >>> cvae.sample(3, condition=7).shape
    (3, 8, 8, 1)
    """

    def __init__(
        self,
        latent_dim: int,
        input_shape: tuple[int, ...],
        *,
        condition: str = "label",
        num_classes: int | None = None,
        condition_shape: tuple[int, ...] | None = None,
        prior: str | Prior | keras.Model = "standard_normal",
        **kwargs: Any,
    ) -> None:
        shape = tuple(np.atleast_1d(input_shape).tolist())
        self.condition = make_condition(condition, shape, num_classes, condition_shape)
        learned = prior == "conditional" or isinstance(prior, keras.Model)
        self._given_prior = prior if learned else None
        base = ConditionalNormal() if learned else prior
        super().__init__(latent_dim, input_shape, prior=base, **kwargs)
        self._given["prior"] = prior

    # What the networks are given.

    def code(self, condition: Any) -> tf.Tensor:
        """Returns the condition as networks take it, (batch, *code_shape)."""
        if condition is None:
            raise self.condition.refused("condition", "None")
        code = self.condition.code(tf.convert_to_tensor(condition))
        if self.code_scale is not None:
            code = (code - self.code_mean.value) / self.code_scale.value
        return code

    def encoder_input(self, x: tf.Tensor, condition: Any) -> Any:
        """X with the condition appended, or the pair of x and the code."""
        code, x = self.code(condition), self.to_model(x)
        if takes_pair(self.encoder):
            rows = tf.concat([tf.shape(x)[:1], self.condition.code_shape], axis=0)
            return [x, tf.broadcast_to(code, rows)]
        if self.condition.encoder_shape is None:
            return x
        return joined(x, self.condition.for_encoder(code), is_flat(self.encoder))

    def decoder_input(self, z: tf.Tensor, lead: tf.Tensor, condition: Any) -> Any:
        """Z with the condition behind it, or the pair of z and the code."""
        shape = self.condition.code_shape
        code = self.code(condition)
        code = tf.broadcast_to(code, tf.concat([lead, shape], axis=0))
        code = tf.reshape(code, [-1, *shape])
        return [z, code] if takes_pair(self.decoder) else joined(z, code, flat=True)

    # The prior. A learned one is measured in e, where it is the standard normal.

    def prior_log_prob(self, z: tf.Tensor, condition: Any = None) -> tf.Tensor:
        """Returns log p(z|c) in nats, (num_samples, batch)."""
        if self.prior_network is None:
            return super().prior_log_prob(z, condition)
        e, log_scale = self._standardized(z, condition)
        return self.prior.log_prob(e) - log_scale

    def prior_kl(
        self, z_mean: tf.Tensor, z_log_var: tf.Tensor, condition: Any = None
    ) -> tf.Tensor | None:
        """KL(q(z|x,c) || p(z|c)), (batch, latent_dim), if it has a closed form."""
        if self.prior_network is None:
            return super().prior_kl(z_mean, z_log_var, condition)
        mean, log_var = self._prior_given(condition)
        standard = (z_mean - mean) * tf.exp(-0.5 * log_var)
        return self.prior.kl(standard, z_log_var - log_var)

    def prior_sample(
        self, n: Any, seed: Any, condition: Any = None, temperature: float = 1.0
    ) -> tf.Tensor:
        """Draws z from p(z|c), (n, latent_dim)."""
        e = super().prior_sample(n, seed, condition, temperature)
        return self._z_of(e, condition)

    # So is the density of the aggregate posterior: that of z differs by condition.

    def to_aggregate(self, z: tf.Tensor, condition: Any = None) -> tf.Tensor:
        """Returns e of z under a learned p(z|c), else z."""
        if self.prior_network is None:
            return z
        return self._standardized(z, condition)[0]

    def aggregate_log_prob(self, z: tf.Tensor, condition: Any = None) -> tf.Tensor:
        """Returns the log density of z (batch, latent_dim) in nats, (batch,)."""
        if self.prior_network is None:
            return super().aggregate_log_prob(z)
        e, log_scale = self._standardized(z, condition)
        return super().aggregate_log_prob(e) - log_scale

    def aggregate_sample(self, n: Any, seed: Any, condition: Any = None) -> tf.Tensor:
        """Draws z from it, given the condition, (n, latent_dim)."""
        return self._z_of(super().aggregate_sample(n, seed), condition)

    def _standardized(
        self, z: tf.Tensor, condition: Any
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns e of z, and the log of how much larger a volume is in z, (batch,)."""
        mean, log_var = self._prior_given(condition)
        e = (z - mean) * tf.exp(-0.5 * log_var)
        return e, 0.5 * tf.reduce_sum(log_var, axis=-1)

    def _z_of(self, e: tf.Tensor, condition: Any) -> tf.Tensor:
        """Returns z of e under a learned p(z|c), else e, which is z."""
        if self.prior_network is None:
            return e
        mean, log_var = self._prior_given(condition)
        return mean + tf.exp(0.5 * log_var) * tf.cast(e, mean.dtype)

    def _prior_given(self, condition: Any) -> tuple[tf.Tensor, tf.Tensor]:
        code = self.code(condition)
        return normal_params(self.prior_network, code, "diagonal", None)

    # Conditions that come with examples.

    def split_inputs(self, inputs: Any) -> tuple[tf.Tensor, Any]:
        """Takes (x, condition), or x alone where the condition is a region of it."""
        x, condition = inputs if isinstance(inputs, tuple | list) else (inputs, None)
        return pipeline.as_unit(x), condition

    def condition_on(self, x: tf.Tensor, condition: Any, noise: RowNoise) -> Any:
        """Cuts the region of x that is given, where no condition came with x."""
        if condition is None and isinstance(self.condition, Region):
            return self.condition.cut(x, noise)
        if condition is None:
            raise self.condition.refused("condition", "None; in `fit` it is y")
        return condition

    def region_of(self, x: Any, mask: Any = None) -> np.ndarray:
        """Returns what to give as `condition` of images x, (n, *input_shape).

        Args:
            x: The images of which a region is to be given.
            mask: For condition "mask", 1 where a pixel is given and 0 where not,
                `(height, width)` or `(n, height, width)`; None draws what `evaluate`
                draws.

        Raises:
            ValueError: If the model is not conditioned on a region of x.
        """
        if not isinstance(self.condition, Region):
            raise self.condition.refused("condition", "a region of x")
        self._check_shape(x)
        x = pipeline.as_unit(x)
        if mask is None:
            noise = RowNoise(self.seed, domain=Domain.EVALUATION)
            return np.asarray(self.condition.cut(x, noise))
        mask = np.asarray(mask, np.float32)[..., np.newaxis]
        mask = np.broadcast_to(mask, (len(x), *self.data_shape[:2], 1))
        rows = np.concatenate([x * mask, mask], axis=-1)
        return self.condition.check("mask", rows, len(x))

    part_of = region_of
    """Its name in 0.1.0."""

    def merge_observed(self, x: tf.Tensor, condition: Any) -> tf.Tensor:
        """Puts the given region in its place in what is generated."""
        if isinstance(self.condition, Region):
            return self.condition.merge_observed(tf.convert_to_tensor(condition), x)
        return x

    def likelihood_weight(self, condition: Any) -> tf.Tensor | None:
        """Counts the pixels that are not given."""
        if isinstance(self.condition, Region):
            return 1.0 - self.condition.given(condition)
        return None

    def unpack(self, data: Any) -> tuple[Any, tf.Tensor, tf.Tensor | None]:
        """Takes the y of a batch as its condition."""
        x, y, weight = self.parts_of(data)
        x = pipeline.as_unit(x)
        return (x if y is None else (x, self.given_condition(y))), x, weight

    def parts_of(self, data: Any) -> tuple[Any, Any, tf.Tensor | None]:
        """As `VAE.parts_of`; x may be the pair of x and y."""
        x, y, weight = keras.utils.unpack_x_y_sample_weight(data)
        if isinstance(x, tuple | list):
            x, y = x
        if y is not None:
            check_numbers("y", y)
        x, _, weight = super().parts_of((x, None, weight))
        return x, y, weight

    def batch_fits(self, data: Any) -> tf.Tensor:
        """As `VAE.batch_fits`, and whether y is a condition."""
        x, y, _ = self.parts_of(data)
        fits = super().batch_fits(data)
        if y is None:
            self.check_targets(None, 0)
            return fits
        rows = self.given_condition(y)
        fits &= tf.equal(tf.shape(rows)[0], tf.shape(x)[0])
        return fits & self.condition.fits(rows)

    def check_batch(self, x: np.ndarray, y: np.ndarray, weight: np.ndarray) -> None:
        """Raises the ValueError of a batch for which `batch_fits` is false."""
        if y.shape != (0, 0):
            self.check_targets(y.astype(self.condition.dtype), len(x))
        super().check_batch(x, y, weight)

    def given_condition(self, y: Any) -> tf.Tensor:
        """The y of a dataset as the condition."""
        return self.condition.read(y)

    def check_condition(self, condition: Any, n: int) -> np.ndarray | None:
        """Returns the condition of each of n examples; None as it came."""
        if condition is None:
            return None
        return self.condition.check("condition", condition, n)

    def needed_condition(self, condition: Any, n: int) -> np.ndarray:
        """As `check_condition`; there has to be one."""
        if condition is None:
            raise self.condition.refused("condition", "None")
        return self.condition.check("condition", condition, n)

    def check_targets(self, y: Any, n: int) -> np.ndarray | None:
        """Checks the y of `fit` and `evaluate`, which is the condition."""
        if y is None and not isinstance(self.condition, Region):
            raise self.condition.refused("y", "None")
        return None if y is None else self.condition.check("y", y, n)

    def adapt(self, x: Any, condition: Any = None) -> None:
        """As `VAE.adapt`; vectors to condition on are standardised if they are given.

        Args:
            x: The training examples, an array or a dataset of batches (x, y).
            condition: Of the array's examples.
        """
        super().adapt(x, condition)
        if self.code_scale is None:
            return
        examples = chunks.read(self, x, condition, limit=ADAPT_EXAMPLES)
        rows = [np.asarray(given) for *_, given in examples if given is not None]
        if rows:
            code = self.condition.code(np.concatenate(rows)).numpy().astype(np.float64)
            mean, scale = code.mean(axis=0), code.std(axis=0)
            self.code_mean.assign(mean)
            varies = scale > 1e-7 * np.abs(mean)  # by more than float32 rounds
            self.code_scale.assign(np.where(varies, scale, 1.0))

    def predict(
        self,
        x: Any,
        batch_size: int | None = None,
        condition: Any = None,
        **kwargs: Any,
    ) -> Any:
        """Returns `reconstruct` of all examples. As `keras.Model.predict`."""
        if isinstance(x, tuple | list) and len(x) == 2:
            x, condition = x
        x = as_data(x, self.data_shape)
        if is_array(x):
            self.ensure_built()
            examples = chunks.examples(self, x, condition)
            given = [np.asarray(rows) for *_, rows in examples]
            x = pipeline.batches(
                x,
                np.concatenate(given),
                batch_size=checked_batch_size(batch_size),
                shuffle=False,
                repeat=False,
            )
        return super().predict(x, batch_size, **kwargs)

    @property
    def condition_spec(self) -> tf.TensorSpec:
        """What a batch of conditions looks like in a graph."""
        shape = [None, *self.condition.shape]
        return tf.TensorSpec(shape, self.condition.dtype, name="condition")

    # State.

    def build(self, input_shape: Any = None) -> None:
        """Makes all state."""
        self.code_mean: Any = None
        self.code_scale: Any = None
        if isinstance(self.condition, Vector):
            self.code_mean, self.code_scale = (
                self.add_weight(
                    name=name,
                    shape=self.condition.code_shape,
                    initializer=initializer,
                    trainable=False,
                    dtype="float32",
                    autocast=False,
                )
                for name, initializer in (
                    ("code_mean", "zeros"),
                    ("code_scale", "ones"),
                )
            )
        super().build(input_shape)

    def check_networks(self) -> None:
        """Calls the networks symbolically, that of the prior too."""
        super().check_networks()
        if self.prior_network is not None:
            code = keras.KerasTensor((None, *self.condition.code_shape))
            self.check_pair("prior", self.prior_network, code)

    def symbolic_inputs(self) -> tuple[Any, Any]:
        """What the encoder and the decoder are called with, as symbolic tensors."""
        x, z = super().symbolic_inputs()
        code = keras.KerasTensor((None, *self.condition.code_shape))
        shape = joined_shape(
            self.data_shape, self.condition.encoder_shape, is_flat(self.encoder)
        )
        together = joined_shape((self.latent_dim,), self.condition.code_shape, True)
        return (
            [x, code]
            if takes_pair(self.encoder)
            else keras.KerasTensor((None, *shape)),
            [z, code]
            if takes_pair(self.decoder)
            else keras.KerasTensor((None, *together)),
        )

    def _make_networks(self, encoder: Any, decoder: Any) -> tuple[Any, Any]:
        self.prior_network: Any = self._given_prior
        if self._given_prior == "conditional":
            name = encoder if isinstance(encoder, str) else "mlp"
            self.prior_network = prior_network(name, self.condition, self.latent_dim)
        if isinstance(encoder, str):
            encoder = conditional_encoder(
                encoder,
                self.condition,
                self.data_shape,
                self.latent_dim,
                **self.encoder_options,
            )
        if isinstance(decoder, str):
            params_shape = self.likelihood.params_shape(self.data_shape)
            decoder = conditional_decoder(
                decoder,
                self.condition,
                self.latent_dim,
                params_shape,
                output_gain=self.likelihood.output_gain,
            )
        return encoder, decoder

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments."""
        return {**super().get_config(), **self.condition.arguments}
