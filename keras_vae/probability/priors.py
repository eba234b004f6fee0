"""The prior p(z), as Keras layers: what is learned of it is part of the model."""

import contextlib
import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_vae.arguments import in_range
from keras_vae.errors import invalid_argument
from keras_vae.noise import Domain, RowNoise
from keras_vae.probability.couplings import AffineCoupling
from keras_vae.probability.distributions import bound_log_var, kl_to_standard_normal

Posterior = Callable[..., tuple[tf.Tensor, tf.Tensor]]
"""The model's `encode_params`: maps `(x, condition=None, training=None)` to (z_mean,
z_log_var), each (batch, latent_dim)."""

_MARGIN = 0.01  # of the data's range that pseudo-inputs keep from its ends at first


class Prior(keras.layers.Layer):
    """Base of the priors. Built with the shape `(None, latent_dim)`.

    A subclass has to give `log_prob` and `sample`, and `kl` where it has a closed form.
    `posterior` is handed to every method; only priors that are made of posteriors
    (VampPrior) call it.
    """

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Takes the latent dimension from the shape `(None, latent_dim)`."""
        self.latent_dim = int(input_shape[-1])  # type: ignore[arg-type]
        self.built = True

    def log_prob(self, z: tf.Tensor, posterior: Posterior | None = None) -> tf.Tensor:
        """Returns log p(z) in nats: (..., latent_dim) -> (...)."""
        raise NotImplementedError

    def sample(
        self, n: Any, seed: Any, posterior: Posterior | None = None
    ) -> tf.Tensor:
        """Draws z, (n, latent_dim); with the same seed a larger n starts the same.

        Args:
            n: How many, an int or int32 scalar.
            seed: A Python int or an int32 tensor of shape (2,).
            posterior: The model's posterior.
        """
        raise NotImplementedError

    def kl(self, z_mean: tf.Tensor, z_log_var: tf.Tensor) -> tf.Tensor | None:
        """KL(q(z|x) || p(z)) per dimension, (batch, latent_dim), or None."""
        return None

    def set_examples(
        self, data_shape: tuple[int, ...], condition: tf.TensorSpec | None
    ) -> None:
        """Takes the shapes of an example and of conditions, before it is built."""
        return None

    def adapt(self, examples: Iterable[tuple[Any, Any]], seed: int) -> None:
        """Takes what it needs from training examples; most priors need nothing.

        Args:
            examples: Batches of (x, condition), in the data's units.
            seed: Of any choice among them.
        """
        return None

    def fixed(self, posterior: Posterior) -> contextlib.AbstractContextManager[Any]:
        """Inside this context what depends on the posterior is computed once."""
        return contextlib.nullcontext()


@keras.saving.register_keras_serializable(package="keras_vae")
class StandardNormal(Prior):
    """N(0, I) (Kingma and Welling 2014)."""

    def log_prob(self, z: tf.Tensor, posterior: Posterior | None = None) -> tf.Tensor:
        """Returns log N(z; 0, I), (..., latent_dim) -> (...)."""
        return -0.5 * tf.reduce_sum(tf.square(z) + np.log(2.0 * np.pi), axis=-1)

    def sample(
        self, n: Any, seed: Any, posterior: Posterior | None = None
    ) -> tf.Tensor:
        """Draws z, (n, latent_dim)."""
        return RowNoise(seed, domain=Domain.PRIOR).normal(n, (self.latent_dim,))

    def kl(self, z_mean: tf.Tensor, z_log_var: tf.Tensor) -> tf.Tensor:
        """The closed form, (batch, latent_dim)."""
        return kl_to_standard_normal(z_mean, z_log_var)


class Mixture(Prior):
    """Base of the mixtures of normals with diagonal covariances.

    There is no closed form of the KL to it: the model takes log q(z|x) - log p(z) of
    its samples.

    Args:
        components: How many normals.
        **kwargs: Of `keras.layers.Layer`.

    Raises:
        ValueError: If `components` is below 1.
    """

    def __init__(self, components: int = 100, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if isinstance(components, bool) or components < 1:
            raise invalid_argument("components", "a number of at least 1", components)
        self.components = int(components)

    def parts(self, posterior: Posterior | None) -> tuple[tf.Tensor, ...]:
        """Returns log weights (components,), and means and log variances.

        The latter two are (components, latent_dim).
        """
        raise NotImplementedError

    def log_prob(self, z: tf.Tensor, posterior: Posterior | None = None) -> tf.Tensor:
        """Returns log p(z) in nats: (..., latent_dim) -> (...)."""
        parts = self.parts(posterior)
        log_weights, means, log_vars = (tf.cast(part, z.dtype) for part in parts)
        log_volume = 0.5 * tf.reduce_sum(log_vars + math.log(2.0 * math.pi), axis=-1)
        # No expanded square, which would lose the digits of narrow components.
        standard = (z[..., tf.newaxis, :] - means) * tf.exp(-0.5 * log_vars)
        distance = tf.reduce_sum(tf.square(standard), axis=-1)
        each = log_weights - log_volume - 0.5 * distance
        return tf.reduce_logsumexp(each, axis=-1)

    def sample(
        self, n: Any, seed: Any, posterior: Posterior | None = None
    ) -> tf.Tensor:
        """Draws z, (n, latent_dim)."""
        noise = RowNoise(seed, domain=Domain.PRIOR)
        parts = self.parts(posterior)
        log_weights, means, log_vars = (tf.cast(part, tf.float32) for part in parts)
        edges = tf.cumsum(tf.exp(log_weights))[:-1]
        quantile = noise.uniform(n, (1,), "component")
        component = tf.reduce_sum(tf.cast(quantile >= edges, tf.int32), axis=-1)
        normal = noise.normal(n, (self.latent_dim,))
        scale = tf.exp(0.5 * tf.gather(log_vars, component))
        return tf.gather(means, component) + scale * normal

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments."""
        return {**super().get_config(), "components": self.components}

    def _weight(
        self, name: str, shape: tuple[int, ...], initializer: Any = "zeros", **of: Any
    ) -> keras.Variable:
        return self.add_weight(
            name=name,
            shape=shape,
            initializer=initializer,
            autocast=False,
            **{"dtype": "float32", **of},
        )


@keras.saving.register_keras_serializable(package="keras_vae")
class GaussianMixture(Mixture):
    """A mixture of normals whose weights, means and variances are learned.

    p(z) = sum_k w_k N(z; m_k, diag(v_k)). It starts as a cloud of normals of variance 1
    whose means are near the origin.

    Args:
        components: How many normals.
        **kwargs: Of `keras.layers.Layer`.
    """

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Makes the weights."""
        if self.built:  # a loaded model builds its parts before itself
            return
        super().build(input_shape)
        shape = (self.components, self.latent_dim)
        self.logits = self._weight("logits", shape[:1])
        near = keras.initializers.RandomNormal(stddev=0.5)
        self.means = self._weight("means", shape, near)
        self.log_vars = self._weight("log_vars", shape)

    def parts(self, posterior: Posterior | None) -> tuple[tf.Tensor, ...]:
        """Returns the learned log weights, means and log variances."""
        return (
            tf.nn.log_softmax(self.logits.value),
            self.means.value,
            bound_log_var(self.log_vars.value),
        )


@keras.saving.register_keras_serializable(package="keras_vae")
class VampPrior(Mixture):
    """A mixture of posteriors of learned pseudo-inputs (Tomczak and Welling 2018).

    p(z) = 1/K sum_k q(z|u_k) (equation 9). The pseudo-inputs u_k start as training
    examples, which `adapt` draws, and are trained with the model. A sigmoid keeps them
    between the smallest and the largest value of the data (of each channel or feature).
    The networks see them as in evaluation, without dropout. In a conditional model each
    keeps the condition of the example that it started as.

    Args:
        components: Number of pseudo-inputs, K.
        data_shape: Of one example; the model sets it.
        condition: Shape and dtype of one condition; the model sets it.
        **kwargs: Of `keras.layers.Layer`.
    """

    def __init__(
        self,
        components: int = 100,
        data_shape: tuple[int, ...] | None = None,
        condition: tuple[tuple[int, ...], str] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(components, **kwargs)
        self.data_shape = None if data_shape is None else tuple(data_shape)
        self.condition = condition
        self._fixed_parts: tuple[Any, ...] | None = None

    def set_examples(
        self, data_shape: tuple[int, ...], condition: tf.TensorSpec | None
    ) -> None:
        """Takes the shapes of what the pseudo-inputs are like."""
        self.data_shape = tuple(data_shape)
        if condition is not None:
            self.condition = (tuple(condition.shape[1:]), condition.dtype.name)

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Makes the pseudo-inputs: noise, until `adapt`."""
        if self.built:
            return
        super().build(input_shape)
        if self.data_shape is None:
            raise invalid_argument("data_shape", "the shape of one example", None)
        self.logits = self._weight(
            "pseudo_inputs",
            (self.components, *self.data_shape),
            keras.initializers.RandomNormal(stddev=1.0),
        )
        constant: dict[str, Any] = {"trainable": False}
        ends = self.data_shape[-1:]
        self.low = self._weight("low", ends, **constant)
        self.span = self._weight("span", ends, "ones", **constant)
        self.conditions = None
        if self.condition is not None:
            shape, dtype = self.condition
            self.conditions = self._weight(
                "pseudo_conditions", (self.components, *shape), dtype=dtype, **constant
            )

    def pseudo_inputs(self) -> tf.Tensor:
        """Returns u, (components, *data_shape), in the data's units."""
        return self.low.value + self.span.value * tf.sigmoid(self.logits.value)

    def parts(self, posterior: Posterior | None) -> tuple[tf.Tensor, ...]:
        """Returns log 1/K, and the posteriors of the pseudo-inputs."""
        if self._fixed_parts is not None:
            return tuple(map(tf.convert_to_tensor, self._fixed_parts))
        if posterior is None:
            raise invalid_argument(
                "posterior",
                "the model's `encode_params`, of which this prior is made",
                None,
            )
        given = None if self.conditions is None else self.conditions.value
        means, log_vars = posterior(self.pseudo_inputs(), given, training=False)
        log_weights = tf.fill([self.components], -math.log(self.components))
        return log_weights, means, log_vars

    @contextlib.contextmanager
    def fixed(self, posterior: Posterior) -> Iterator[None]:
        """Inside, the components are constants: what is exported needs no encoder."""
        parts = self.parts(posterior)
        if (
            tf.executing_eagerly()
        ):  # arrays are constants of a graph, tensors its inputs
            parts = tuple(part.numpy() for part in parts)
        self._fixed_parts = parts
        try:
            yield
        finally:
            self._fixed_parts = None

    def adapt(self, examples: Iterable[tuple[Any, Any]], seed: int) -> None:
        """Makes `components` examples drawn at random the pseudo-inputs.

        Where there are fewer examples than components they repeat.
        """
        random = np.random.default_rng(seed)
        axes = tuple(range(len(self.data_shape or ())))
        keys = np.empty(0)
        chosen: list[np.ndarray] = []
        lows, highs = [], []
        for batch in examples:
            rows = [np.asarray(part) for part in batch if part is not None]
            lows.append(rows[0].min(axis=axes))
            highs.append(rows[0].max(axis=axes))
            # Those with the smallest of random keys are a fair draw of any stream.
            keys = np.concatenate([keys, random.random(len(rows[0]))])
            pairs = zip(chosen or [part[:0] for part in rows], rows, strict=True)
            smallest = np.argsort(keys)[: self.components]
            chosen = [np.concatenate(pair)[smallest] for pair in pairs]
            keys = keys[smallest]
        shape = (self.components, *chosen[0].shape[1:])
        low, high = np.min(lows, axis=0), np.max(highs, axis=0)
        position = (np.resize(chosen[0], shape) - low) / np.where(
            high > low, high - low, 1
        )
        position = np.clip(position, _MARGIN, 1 - _MARGIN)
        self.low.assign(low)
        self.span.assign(high - low)
        self.logits.assign(np.log(position) - np.log1p(-position))
        if self.conditions is not None:
            self.conditions.assign(np.resize(chosen[1], self.conditions.shape))

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments."""
        own = {"data_shape": self.data_shape, "condition": self.condition}
        return {**super().get_config(), **own}


@keras.saving.register_keras_serializable(package="keras_vae")
class FlowPrior(Prior):
    """N(0, I), moved by a learned flow: z = f(u) (Real NVP, Dinh et al. 2017).

    log p(z) = log N(u; 0, I) + log |det du/dz|, exactly. The flow is a row of affine
    couplings, of which each keeps half of the numbers and the next the other half; the
    halves change from pair to pair. It starts as the identity, the prior as N(0, I).
    There is no closed form of the KL to it.

    Args:
        steps: How many couplings.
        width: Units of each hidden layer of a coupling's network.
        **kwargs: Of `keras.layers.Layer`; densities are computed in float32 whatever
            the global policy is.

    Raises:
        ValueError: If a number is below 1.
    """

    def __init__(self, steps: int = 8, width: int = 128, **kwargs: Any) -> None:
        super().__init__(**{"dtype": "float32", **kwargs})
        self.steps = in_range("steps", steps, 1, whole=True)
        self.width = in_range("width", width, 1, whole=True)

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Makes the couplings."""
        if self.built:  # a loaded model builds its parts before itself
            return
        super().build(input_shape)
        self.couplings = []
        for step in range(self.steps):
            random = np.random.default_rng(step // 2)  # of a pair: the same halves
            kept = (random.permutation(self.latent_dim) + step) % 2
            of = {"dtype": self.dtype_policy, "name": f"coupling_{step}"}
            self.couplings.append(AffineCoupling(kept.tolist(), self.width, **of))
            self.couplings[-1].build((None, self.latent_dim))

    def log_prob(self, z: tf.Tensor, posterior: Posterior | None = None) -> tf.Tensor:
        """Returns log p(z) in nats: (..., latent_dim) -> (...)."""
        u, log_det = self.inverse(z)
        return log_det - 0.5 * tf.reduce_sum(
            tf.square(u) + math.log(2.0 * math.pi), axis=-1
        )

    def inverse(self, z: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns u of which the flow makes z, and log |det du/dz|."""
        log_det = tf.zeros_like(z[..., 0])
        for coupling in reversed(self.couplings):
            z, change = coupling.inverse(z)
            log_det += change
        return z, log_det

    def sample(
        self, n: Any, seed: Any, posterior: Posterior | None = None
    ) -> tf.Tensor:
        """Draws z, (n, latent_dim)."""
        z = RowNoise(seed, domain=Domain.PRIOR).normal(n, (self.latent_dim,))
        for coupling in self.couplings:
            z, _ = coupling(z)
        return z

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments."""
        return {**super().get_config(), "steps": self.steps, "width": self.width}


PRIORS: dict[str, type[Prior]] = {
    "standard_normal": StandardNormal,
    "gaussian_mixture": GaussianMixture,
    "vamp": VampPrior,
    "flow": FlowPrior,
}
"""Priors by name."""
