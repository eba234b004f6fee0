"""Adam whose step is one pass over the weights."""

from typing import Any

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable(package="keras_vae")
class Adam(keras.optimizers.Adam):
    """Keras' Adam (Kingma and Ba 2015), the update made by TensorFlow's fused kernel.

    Same arguments, same state, same result as `keras.optimizers.Adam` to rounding; the
    weights, both moments and the gradient are read and written once instead of once for
    every arithmetic operation. Cases that the kernel does not cover (AMSGrad, sparse
    gradients, variables that are not float32) take Keras' own way.
    """

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Updates one variable."""
        weights = variable.value if isinstance(variable, keras.Variable) else variable
        dense = isinstance(gradient, tf.Tensor) and gradient.dtype == tf.float32
        if self.amsgrad or not dense or weights.dtype != tf.float32:
            super().update_step(gradient, variable, learning_rate)
            return
        step = keras.ops.cast(self.iterations + 1, "float32")
        index = self._get_variable_index(variable)
        tf.raw_ops.ResourceApplyAdam(
            var=weights.handle,
            m=self._momentums[index].value.handle,
            v=self._velocities[index].value.handle,
            beta1_power=tf.pow(self.beta_1, step),
            beta2_power=tf.pow(self.beta_2, step),
            lr=tf.cast(learning_rate, tf.float32),
            beta1=self.beta_1,
            beta2=self.beta_2,
            epsilon=self.epsilon,
            grad=gradient,
        )


OPTIMIZERS: dict[str, type[keras.optimizers.Optimizer]] = {"adam": Adam}
"""Optimizers of this package by the name that `compile` takes."""
