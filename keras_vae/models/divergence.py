"""Training that stops where a number is no longer one.

A step whose loss or gradients are not finite on some replica changes no weight and is
not counted in the model's `step`; `StepFunction` makes no further step then and raises
`Diverged`. So the weights are those of the last step that was sound.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf

_SMALL = 4096  # gradients up to this size are looked at whole
_NO_SCALE = 1e-6  # a loss scale that low has been halved 30 times and more in vain

_TERMS = {
    "reconstruction_loss": "reconstruction",
    "kl_loss": "KL",
    "penalty_loss": "penalty",
}


class Diverged(ArithmeticError):
    """Training met a number that is not finite, and stopped before using it.

    Attributes:
        step: The step that was not made, counted from 1; the model's weights are those
            after the step before.
        term: What was not finite, in words: "KL", say.
    """

    def __init__(self, step: int, term: str) -> None:
        self.step = step
        self.term = term
        super().__init__(
            f"Training has diverged: step {step} gave numbers that are not finite "
            f"({term}). The model keeps its weights of step {step - 1}. Clip the "
            "gradients (clipnorm), or lower the learning rate."
        )


def diagnosis(model: Any) -> Diverged:
    """Says what stopped a model's training, from the figures of the failed step."""
    figures = model.get_metrics_result()
    bad = [name for name, value in figures.items() if not abs(float(value)) < math.inf]
    terms = [words for name, words in _TERMS.items() if name in bad]
    if "KL" in terms and "penalty" in terms:  # the one is made of the other
        terms.remove("penalty")
    if not terms:
        terms = ["loss" if "loss" in bad else "gradient"]
    return Diverged(int(model.step.numpy()) + 1, ", ".join(terms))


def apply_if_finite(
    optimizer: keras.optimizers.Optimizer,
    loss: tf.Tensor,
    gradients: Sequence[Any],
    variables: Sequence[keras.Variable],
) -> tf.Tensor:
    """Lets the optimizer update the weights if the loss and its gradients are finite.

    Called in a training step, by every replica; one that is not finite holds all back.

    Args:
        optimizer: A built optimizer.
        loss: The replica's loss, a scalar.
        gradients: One for each of the variables, or None.
        variables: What they are the gradients of.

    Returns:
        Whether there was an update, a boolean scalar that is the same on all replicas.
    """
    gradients = list(gradients)
    finite = tf.math.is_finite(loss)
    if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        finite &= tf.convert_to_tensor(optimizer.dynamic_scale) > _NO_SCALE
        gradients = _overflow_told(optimizer, gradients)
    else:
        finite &= _are_finite(gradients)
    finite = _everywhere(finite)

    def update(gradients: Any) -> None:
        optimizer.apply(gradients, variables)

    if tf.__internal__.distribute.strategy_supports_no_merge_call():
        _when(finite, lambda: update(gradients))
        return finite

    def update_all(strategy: tf.distribute.Strategy, flags: Any, parts: Any) -> None:
        # A branch in a replica cannot merge replicas, which updates do. So the branch
        # is here, where they are merged, and goes back to the replicas inside.
        flag = strategy.experimental_local_results(flags)[0]
        each = strategy.extended.call_for_each_replica
        _when(flag, lambda: each(update, args=(parts,)))

    context = tf.distribute.get_replica_context()
    context.merge_call(update_all, args=(finite, gradients))
    return finite


def _are_finite(gradients: list[Any]) -> tf.Tensor:
    """Whether gradients are finite, by as few of their numbers as tell.

    What is not finite in backpropagation makes a whole column of a kernel's gradient
    so: its first row tells, at a thousandth of the price.
    """
    numbers = [tf.zeros(1)]
    for gradient in gradients:
        if gradient is None:
            continue
        sparse = isinstance(gradient, tf.IndexedSlices)
        values = gradient.values if sparse else gradient
        if values.shape.rank > 1 and not (values.shape.num_elements() or 1e9) <= _SMALL:
            values = values[:1]
        numbers.append(tf.cast(tf.reshape(values, [-1]), tf.float32))
    return tf.math.is_finite(tf.reduce_sum(tf.concat(numbers, axis=0)))


def _overflow_told(
    optimizer: keras.optimizers.LossScaleOptimizer, gradients: list[Any]
) -> list[Any]:
    """Makes gradients that overflow on one replica do so on all.

    The optimizer leaves out steps whose scaled gradients overflow and lowers its scale,
    but asks one replica only.
    """
    if tf.distribute.get_replica_context().num_replicas_in_sync == 1:
        return gradients
    fine = _everywhere(tf.convert_to_tensor(optimizer.check_finite(gradients)))
    return [
        None if gradient is None else tf.where(fine, gradient, float("nan"))
        for gradient in gradients
    ]


def _everywhere(flag: tf.Tensor) -> tf.Tensor:
    """Whether a flag is true on every replica."""
    context = tf.distribute.get_replica_context()
    if context.num_replicas_in_sync == 1:
        return flag
    # An integer, since sums of floats beside the optimizer's are mixed up in loops.
    no = tf.cast(tf.logical_not(flag), tf.int32)
    return context.all_reduce(tf.distribute.ReduceOp.SUM, no) == 0


def _when(condition: tf.Tensor, act: Callable[[], Any]) -> None:
    def acted() -> tf.Tensor:
        act()
        return tf.constant(0)

    tf.cond(condition, acted, lambda: tf.constant(0))
