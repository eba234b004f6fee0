"""Optimizers whose step is one pass over the weights, by TensorFlow's fused kernels.

A kernel reads and writes the weights, the moments and the gradient once instead of once
for every arithmetic operation. Its result is that of Keras to rounding; what a kernel
does not cover (AMSGrad, sparse gradients, variables that are not float32, subclasses)
takes Keras' own way. All else that Keras does around an update, clipping, weight decay,
averages and accumulation among it, stays with Keras.
"""

import contextlib
import functools
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import keras
import tensorflow as tf

Kernel = Callable[[Any, tf.Tensor, tf.Variable, tf.Tensor], None]
"""Updates one variable: of the optimizer, the gradient, the variable and the rate."""


def _adam(
    optimizer: Any, gradient: tf.Tensor, weights: tf.Variable, rate: tf.Tensor
) -> None:
    step = keras.ops.cast(optimizer.iterations + 1, "float32")
    index = optimizer._get_variable_index(weights)
    tf.raw_ops.ResourceApplyAdam(
        var=weights.handle,
        m=optimizer._momentums[index].value.handle,
        v=optimizer._velocities[index].value.handle,
        beta1_power=tf.pow(optimizer.beta_1, step),
        beta2_power=tf.pow(optimizer.beta_2, step),
        lr=rate,
        beta1=optimizer.beta_1,
        beta2=optimizer.beta_2,
        epsilon=optimizer.epsilon,
        grad=gradient,
    )


def _sgd(
    optimizer: Any, gradient: tf.Tensor, weights: tf.Variable, rate: tf.Tensor
) -> None:
    if optimizer.momentum == 0:
        tf.raw_ops.ResourceApplyGradientDescent(
            var=weights.handle, alpha=rate, delta=gradient
        )
        return
    index = optimizer._get_variable_index(weights)
    tf.raw_ops.ResourceApplyKerasMomentum(
        var=weights.handle,
        accum=optimizer.momentums[index].value.handle,
        lr=rate,
        grad=gradient,
        momentum=optimizer.momentum,
        use_nesterov=optimizer.nesterov,
    )


_KERNELS: dict[type[keras.optimizers.Optimizer], Kernel] = {
    keras.optimizers.Adam: _adam,
    keras.optimizers.AdamW: _adam,
    keras.optimizers.SGD: _sgd,
}
"""Of the very classes: a subclass may have changed what an update is made of."""


def _update(
    kernel: Kernel,
    optimizer: Any,
    gradient: Any,
    variable: Any,
    learning_rate: Any,
    *,
    otherwise: Callable[[Any, Any, Any], None],
) -> None:
    """Updates one variable by the kernel where it holds, and `otherwise` elsewhere."""
    weights = variable.value if isinstance(variable, keras.Variable) else variable
    dense = isinstance(gradient, tf.Tensor) and gradient.dtype == tf.float32
    if getattr(optimizer, "amsgrad", False) or not dense or weights.dtype != tf.float32:
        otherwise(gradient, variable, learning_rate)
    else:
        kernel(optimizer, gradient, weights, tf.cast(learning_rate, tf.float32))


@contextlib.contextmanager
def fused_updates(optimizers: Iterable[keras.optimizers.Optimizer]) -> Iterator[None]:
    """Keras' own Adam, AdamW and SGD update by the fused kernels, within.

    Steps that are traced or run within it do; the optimizers are afterwards as they
    were. Others, and what wraps neither of the three, update as always.

    Args:
        optimizers: As `compile` takes them; one inside a `LossScaleOptimizer` counts.
    """
    changed = []
    for optimizer in optimizers:
        while isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
            optimizer = optimizer.inner_optimizer
        kernel, own = _KERNELS.get(type(optimizer)), vars(optimizer)
        if kernel is not None and "update_step" not in own:
            # Not by setattr, with which Keras tracks what belongs to an optimizer.
            own["update_step"] = functools.partial(
                _update, kernel, optimizer, otherwise=optimizer.update_step
            )
            changed.append(own)
    try:
        yield
    finally:
        for own in changed:
            del own["update_step"]


@keras.saving.register_keras_serializable(package="keras_vae")
class Adam(keras.optimizers.Adam):
    """Keras' Adam (Kingma and Ba 2015), the update made by TensorFlow's fused kernel.

    Same arguments, same state, same result as `keras.optimizers.Adam` to rounding, also
    outside of this package's models, where Keras' own has several passes over the
    weights. Cases that the kernel does not cover (AMSGrad, sparse gradients, variables
    that are not float32) take Keras' own way.
    """

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Updates one variable."""
        own = super().update_step
        _update(_adam, self, gradient, variable, learning_rate, otherwise=own)


OPTIMIZERS: dict[str, type[keras.optimizers.Optimizer]] = {"adam": Adam}
"""Optimizers of this package by the name that `compile` takes."""
