"""Training that stops where a number is no longer one.

A step whose loss or gradients are not finite on some replica changes no weight and is
not counted in the model's `step`; `StepFunction` makes no further step then and raises
`Diverged`. So the weights are those of the last step that was sound.

Under "mixed_float16" gradients that overflow are no such end: the optimizer leaves its
weights as they are and lowers the scale of the loss. The step counts, since its batch
is over and a resumed run goes on behind it.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from keras_vae.engine.model import StepModel

_NO_SCALE = 1e-6  # a loss scale that low has been halved 30 times and more in vain


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


def diagnosis(model: StepModel) -> Diverged:
    """Says what stopped a model's training, from the metrics of the failed step."""
    metrics = model.get_metrics_result()
    bad = [name for name, value in metrics.items() if not abs(float(value)) < math.inf]
    terms = model.failed_terms(bad) or ["loss" if "loss" in bad else "gradient"]
    return Diverged(int(model.step.numpy()) + 1, ", ".join(terms))


class Update(NamedTuple):
    """What an optimizer is to do in a step."""

    optimizer: keras.optimizers.Optimizer
    """Built."""
    gradients: Sequence[Any]
    """One for each of the variables, or None."""
    variables: Sequence[keras.Variable]


def apply_if_finite(loss: tf.Tensor, updates: Sequence[Update]) -> tf.Tensor:
    """Lets optimizers update the weights if all losses and gradients are finite.

    Called in a training step, by every replica; one that is not finite holds all back.

    Args:
        loss: The replica's loss, a scalar; of several losses, the sum.
        updates: Of each optimizer.

    Returns:
        Whether there was an update, a boolean scalar that is the same on all replicas.
    """
    finite = tf.math.is_finite(loss)
    gradients = []
    for update in updates:
        optimizer, given = update.optimizer, list(update.gradients)
        if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
            finite &= tf.convert_to_tensor(optimizer.dynamic_scale) > _NO_SCALE
            given = _overflow_told(optimizer, given)
        else:
            finite &= _are_finite(given)
        gradients.append(given)
    finite = _everywhere(finite)

    def apply(gradients: Any) -> None:
        for update, own in zip(updates, gradients, strict=True):
            update.optimizer.apply(own, update.variables)

    if tf.__internal__.distribute.strategy_supports_no_merge_call():
        _when(finite, lambda: apply(gradients))
        return finite

    def apply_all(strategy: tf.distribute.Strategy, flags: Any, parts: Any) -> None:
        # A branch in a replica cannot merge replicas, which updates do. So the branch
        # is here, where they are merged, and goes back to the replicas inside.
        flag = strategy.experimental_local_results(flags)[0]
        each = strategy.extended.call_for_each_replica
        _when(flag, lambda: each(apply, args=(parts,)))

    context = tf.distribute.get_replica_context()
    context.merge_call(apply_all, args=(finite, gradients))
    return finite


def _are_finite(gradients: list[Any]) -> tf.Tensor:
    """Whether all numbers of all gradients are finite.

    Their sum tells, for one reading of them; what is not finite never leaves a sum.
    """
    sums = [tf.zeros(())]
    for gradient in gradients:
        if gradient is not None:
            values = _numbers(gradient)
            sums.append(tf.reduce_sum(tf.cast(values, tf.float32)))
    return tf.math.is_finite(tf.add_n(sums))


def _numbers(gradient: Any) -> tf.Tensor:
    return gradient.values if isinstance(gradient, tf.IndexedSlices) else gradient


def _overflow_told(
    optimizer: keras.optimizers.LossScaleOptimizer, gradients: list[Any]
) -> list[Any]:
    """Makes gradients that overflow on one replica do so on all.

    The optimizer leaves out steps whose scaled gradients overflow and lowers its scale,
    but asks one replica only, and takes sparse gradients for finite.
    """
    gradients = [None if g is None else tf.convert_to_tensor(g) for g in gradients]
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
