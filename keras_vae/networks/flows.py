"""Flows: layers that map z to z and say by how much they stretch volumes.

A flow makes a posterior of the normal that an encoder gives: z = f(z_0, h), where h,
the context, is a third output of the encoder. Then log q(z|x) = log N(z_0) - log |det
dz/dz_0| (Rezende and Mohamed 2015, equation 7), exactly for every z that is drawn.
"""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_vae.arguments import in_range
from keras_vae.naming import lookup
from keras_vae.networks import limit

_KEEPING = 2.0  # at first a step keeps sigmoid(2) = 0.88 of z


@keras.saving.register_keras_serializable(package="keras_vae")
class MaskedDense(keras.layers.Layer):
    """A dense layer with connections from lower to higher degrees alone.

    Layers of these, one after the other, make outputs of which each depends on the
    inputs of lower degrees (Germain et al. 2015, MADE, section 4).

    Args:
        degrees: Of each input.
        units: The degree of each output.
        strict: Whether an output has no connection from its own degree, as the last
            layer of several needs.
        kernel_initializer: Of the connections.
        **kwargs: Of `keras.layers.Layer`.
    """

    def __init__(
        self,
        degrees: Sequence[int],
        units: Sequence[int],
        strict: bool = False,
        kernel_initializer: Any = "glorot_uniform",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.degrees, self.units = tuple(degrees), tuple(units)
        self.strict = bool(strict)
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        lower, upper = np.array(self.degrees)[:, np.newaxis], np.array(self.units)
        self._mask = (lower < upper if self.strict else lower <= upper).astype(float)

    def build(self, input_shape: Any) -> None:
        """Makes the kernel and the bias."""
        shape = self._mask.shape
        limit.count(shape[0] * shape[1])
        self.kernel = self.add_weight(
            name="kernel", shape=shape, initializer=self.kernel_initializer
        )
        self.bias = self.add_weight(name="bias", shape=shape[1:], initializer="zeros")

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """(..., inputs) to (..., outputs)."""
        kernel = self.kernel * tf.constant(self._mask, self.compute_dtype)
        return tf.tensordot(inputs, kernel, 1) + self.bias

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments."""
        initializer = keras.initializers.serialize(self.kernel_initializer)
        return {
            **super().get_config(),
            "degrees": list(self.degrees),
            "units": list(self.units),
            "strict": self.strict,
            "kernel_initializer": initializer,
        }


@keras.saving.register_keras_serializable(package="keras_vae")
class AutoregressiveNetwork(keras.layers.Layer):
    """Two numbers for each of z, which depend on those before it, and on a context.

    Three masked layers with ELU between them; the context enters the first (Kingma et
    al. 2016, section 4).

    Args:
        latent_dim: Numbers of z.
        width: Units of each hidden layer.
        backward: Whether the order is that from the last number of z to the first.
        **kwargs: Of `keras.layers.Layer`.
    """

    def __init__(
        self, latent_dim: int, width: int, backward: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.latent_dim, self.width = latent_dim, width
        self.backward = bool(backward)

    def build(self, z_shape: Any, context_shape: Any) -> None:
        """Makes the layers."""
        order = list(range(1, self.latent_dim + 1))
        if self.backward:
            order.reverse()
        # Units of degree 0 see the context alone: all the first number has to go by.
        hidden = [unit % self.latent_dim for unit in range(self.width)]
        of = {"dtype": self.dtype_policy}
        self.first = MaskedDense(order, hidden, **of)
        self.of_context = keras.layers.Dense(self.width, use_bias=False, **of)
        self.second = MaskedDense(hidden, hidden, **of)
        # Made here: an initialiser has its seed from when it is made.
        small = keras.initializers.VarianceScaling(0.01, "fan_avg", "uniform")
        self.last = MaskedDense(
            hidden, order * 2, strict=True, kernel_initializer=small, **of
        )
        wide = (None, self.width)
        limit.count(context_shape[-1] * self.width)
        self.first.build(z_shape)
        self.of_context.build(context_shape)
        self.second.build(wide)
        self.last.build(wide)
        self.built = True

    def call(self, z: tf.Tensor, context: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Z (..., batch, latent_dim) and (batch, size) to two tensors of z's shape."""
        h = tf.nn.elu(self.first(z) + self.of_context(context))
        both = self.last(tf.nn.elu(self.second(h)))
        first, second = tf.split(both, 2, axis=-1)
        return first, second

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments."""
        own = {"latent_dim": self.latent_dim, "width": self.width}
        return {**super().get_config(), **own, "backward": self.backward}


class Flow(keras.layers.Layer):
    """Base of the flows: `z, log_det = flow(z, context)`.

    A subclass has to give `call` and `context_size`.

    Args:
        latent_dim: Numbers of z.
        steps: How many maps follow one another.
        **kwargs: Of `keras.layers.Layer`; densities are computed in float32 whatever
            the global policy is.

    Raises:
        ValueError: If a number is below 1.
    """

    title = "flow"

    def __init__(self, latent_dim: int, steps: int = 4, **kwargs: Any) -> None:
        super().__init__(**{"dtype": "float32", **kwargs})
        self.latent_dim = in_range("latent_dim", latent_dim, 1, whole=True)
        self.steps = in_range("posterior_flows", steps, 1, whole=True)

    @property
    def context_size(self) -> int:
        """How many numbers of context each example has."""
        raise NotImplementedError

    def call(self, z: tf.Tensor, context: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns z behind the flow, and by how much volumes are larger there.

        Args:
            z: (..., batch, latent_dim).
            context: (batch, context_size).

        Returns:
            z, of the same shape, and log |det dz/dz_0|, (..., batch).
        """
        raise NotImplementedError

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments."""
        own = {"latent_dim": self.latent_dim, "steps": self.steps}
        return {**super().get_config(), **own}


@keras.saving.register_keras_serializable(package="keras_vae")
class InverseAutoregressiveFlow(Flow):
    """The inverse autoregressive flow (Kingma et al. 2016, algorithm 1).

    Each step is z = s z + (1 - s) m, where s, between 0 and 1, and m of each number are
    given by the context and the numbers before it; every other step takes the numbers
    from the last to the first. The Jacobian is triangular: log_det = sum log s.

    Args:
        latent_dim: Numbers of z.
        steps: How many.
        width: Units of the hidden layers of each step, and numbers of the context.
        **kwargs: As `Flow`.
    """

    title = "inverse autoregressive flow"

    def __init__(
        self, latent_dim: int, steps: int = 4, width: int = 128, **kwargs: Any
    ) -> None:
        super().__init__(latent_dim, steps, **kwargs)
        self.width = in_range("width", width, 1, whole=True)

    @property
    def context_size(self) -> int:
        """How many numbers of context each example has."""
        return int(self.width)

    def build(self, z_shape: Any, context_shape: Any = None) -> None:
        """Makes the networks of the steps."""
        self.networks = [
            AutoregressiveNetwork(
                self.latent_dim, self.width, bool(step % 2), dtype=self.dtype_policy
            )
            for step in range(self.steps)
        ]
        for network in self.networks:
            network.build(z_shape, (None, self.context_size))
        self.built = True

    def call(self, z: tf.Tensor, context: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns z behind the flow, and log_det."""
        log_det = tf.zeros_like(z[..., 0])
        for network in self.networks:
            m, raw = network(z, context)
            raw += _KEEPING
            s = tf.sigmoid(raw)
            z = s * z + (1.0 - s) * m
            log_det += tf.reduce_sum(tf.math.log_sigmoid(raw), axis=-1)
        return z, log_det

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments."""
        return {**super().get_config(), "width": self.width}


@keras.saving.register_keras_serializable(package="keras_vae")
class PlanarFlow(Flow):
    """Planar flows (Rezende and Mohamed 2015, equations 10 to 12).

    Each step is z + u tanh(w'z + b), with u, w and b of each example its context. u is
    moved along w until w'u >= -1, which makes the step invertible (appendix A.1).
    """

    title = "planar flow"

    @property
    def context_size(self) -> int:
        """How many numbers of context each example has: u, w and b of all steps."""
        return int(self.steps * (2 * self.latent_dim + 1))

    def build(self, z_shape: Any, context_shape: Any = None) -> None:
        """Nothing is learned here: the encoder gives all there is."""
        self.built = True

    def call(self, z: tf.Tensor, context: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns z behind the flow, and log_det."""
        size = self.latent_dim
        log_det = tf.zeros_like(z[..., 0])
        for step in tf.split(context, self.steps, axis=-1):
            u, w, b = step[..., :size], step[..., size:-1], step[..., -1]
            product = tf.reduce_sum(w * u, axis=-1)
            # m of appendix A.1; the 1e-6 keeps the logarithm below finite.
            wanted = tf.nn.softplus(product) + 1e-6
            square = tf.reduce_sum(w * w, axis=-1)
            move = (wanted - 1.0 - product) / tf.maximum(square, 1e-12)
            u += move[..., tf.newaxis] * w
            # Where w is all but 0 nothing moves u, and the slope stays 1 + w'u.
            slope = tf.where(square > 1e-12, wanted, 1.0 + product + move * square)
            h = tf.tanh(tf.reduce_sum(w * z, axis=-1) + b)
            z += u * h[..., tf.newaxis]
            # 1 + (1 - h^2) w'u, where w'u = slope - 1.
            log_det += tf.math.log(h * h + (1.0 - h * h) * slope)
        return z, log_det


FLOWS: dict[str, type[Flow]] = {
    "iaf": InverseAutoregressiveFlow,
    "planar": PlanarFlow,
}
"""Flows of posteriors by name."""


def make_flow(name: str, latent_dim: int, steps: int | None = None) -> Flow | None:
    """Returns the flow of a posterior of that name, None where it has none.

    Args:
        name: Of the posterior.
        latent_dim: Numbers of z.
        steps: How many; None takes the flow's default.

    Raises:
        ValueError: If `steps` is below 1.
    """
    if name not in FLOWS:
        return None
    kind = lookup("posterior", name, FLOWS)
    return kind(latent_dim) if steps is None else kind(latent_dim, steps)
