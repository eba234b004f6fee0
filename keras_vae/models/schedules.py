"""The weight of the KL over training steps.

Both are Keras learning-rate schedules: computed in the graph, they serialise with the
model and can be used wherever Keras takes a schedule.
"""

import contextlib
import contextvars
import math
from collections.abc import Iterator
from typing import Any

import keras
import tensorflow as tf

from keras_vae.errors import invalid_argument

_FAR = 2**40  # steps that no training comes near

_final: contextvars.ContextVar[bool] = contextvars.ContextVar(
    "keras_vae_final_weights", default=False
)


@contextlib.contextmanager
def final_weights() -> Iterator[None]:
    """Inside, `weight_at` returns what schedules end with, whatever the step."""
    token = _final.set(True)
    try:
        yield
    finally:
        _final.reset(token)


def weight_at(weight: Any, step: Any) -> Any:
    """Returns a weight at a training step; inside `final_weights`, its final value.

    That of `Cyclical` is its full weight, that of any other schedule its limit.

    Args:
        weight: A number or a schedule of training steps.
        step: Training steps so far.
    """
    if not callable(weight):
        return weight
    if not _final.get():
        return weight(step)
    if isinstance(weight, Cyclical):
        return weight.value
    return weight(tf.constant(_FAR, tf.int64))


def is_final(weight: Any, step: Any) -> bool:
    """Whether a weight, a number or a schedule, has its final value at a step."""
    if not callable(weight):
        return True
    with final_weights():
        final = float(weight_at(weight, step))
    return math.isclose(float(weight(step)), final, rel_tol=1e-3, abs_tol=1e-9)


def _check_steps(argument: str, value: int) -> int:
    if int(value) < 1:
        raise invalid_argument(
            argument, "a number of training steps of at least 1", value
        )
    return int(value)


@keras.saving.register_keras_serializable(package="keras_vae")
class LinearWarmup(keras.optimizers.schedules.LearningRateSchedule):
    """Grows linearly from 0 to `value` over `warmup_steps` (Bowman et al. 2016).

    Args:
        warmup_steps: Steps, at least 1, until the full weight is reached.
        value: The weight from then on.
    """

    def __init__(self, warmup_steps: int, value: float = 1.0) -> None:
        self.warmup_steps = _check_steps("warmup_steps", warmup_steps)
        self.value = float(value)

    def __call__(self, step: Any) -> tf.Tensor:
        """Returns the weight at `step`, a float32 scalar."""
        progress = tf.cast(step, tf.float32) / float(self.warmup_steps)
        return self.value * tf.minimum(progress, 1.0)

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments."""
        return {"warmup_steps": self.warmup_steps, "value": self.value}


@keras.saving.register_keras_serializable(package="keras_vae")
class Cyclical(keras.optimizers.schedules.LearningRateSchedule):
    """Warms up again and again (Fu et al. 2019).

    Args:
        cycle_steps: Steps, at least 1, of one cycle.
        ratio: The fraction of a cycle, in (0, 1], spent growing from 0 to `value`.
        value: The weight for the rest of the cycle.
    """

    def __init__(
        self, cycle_steps: int, ratio: float = 0.5, value: float = 1.0
    ) -> None:
        if not 0.0 < ratio <= 1.0:
            raise invalid_argument("ratio", "a number above 0 and at most 1", ratio)
        self.cycle_steps = _check_steps("cycle_steps", cycle_steps)
        self.ratio = float(ratio)
        self.value = float(value)

    def __call__(self, step: Any) -> tf.Tensor:
        """Returns the weight at `step`, a float32 scalar."""
        position = tf.cast(tf.cast(step, tf.int64) % self.cycle_steps, tf.float32)
        progress = position / (self.ratio * self.cycle_steps)
        return self.value * tf.minimum(progress, 1.0)

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments."""
        return {
            "cycle_steps": self.cycle_steps,
            "ratio": self.ratio,
            "value": self.value,
        }
