"""Affine couplings, of which a flow that is easy to invert is made."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

_MOST = 2.0  # what one coupling adds to a log scale at most, to either side


@keras.saving.register_keras_serializable(package="keras_vae")
class AffineCoupling(keras.layers.Layer):
    """Scales and shifts some numbers of a vector by a network of the others.

    Dinh et al. 2017 (Real NVP), equations 7 and 8, in the form of equation 9. It starts
    as the identity.

    Args:
        kept: For each number 1 if it is kept, and the others depend on it, else 0.
        width: Units of each of the network's two hidden layers.
        **kwargs: Of `keras.layers.Layer`.
    """

    def __init__(self, kept: Sequence[int], width: int = 128, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.kept = tuple(kept)
        self.width = width

    def build(self, input_shape: Any) -> None:
        """Makes the network."""
        size = len(self.kept)
        sizes = (size, self.width, self.width, 2 * size)
        self.layers = [
            keras.layers.Dense(
                outputs,
                activation=None if last else "relu",
                kernel_initializer="zeros" if last else "he_normal",
                dtype=self.dtype_policy,
            )
            for outputs, last in zip(sizes[1:], (False, False, True), strict=True)
        ]
        for layer, inputs in zip(self.layers, sizes, strict=False):
            layer.build((None, inputs))
        self.built = True

    def call(self, u: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns z and log |det dz/du|, of shape (..., size) and (...)."""
        shift, log_scale = self._by_kept(u)
        return u * tf.exp(log_scale) + shift, tf.reduce_sum(log_scale, axis=-1)

    def inverse(self, z: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns u of which `call` makes z, and log |det du/dz|."""
        shift, log_scale = self._by_kept(z)
        return (z - shift) * tf.exp(-log_scale), -tf.reduce_sum(log_scale, axis=-1)

    def _by_kept(self, z: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        kept = tf.constant(np.array(self.kept), z.dtype)
        h = z * kept
        for layer in self.layers:
            h = layer(h)
        shift, raw = tf.split(h, 2, axis=-1)
        log_scale = _MOST * tf.tanh(raw / _MOST)
        return shift * (1.0 - kept), log_scale * (1.0 - kept)

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments."""
        own = {"kept": list(self.kept), "width": self.width}
        return {**super().get_config(), **own}
