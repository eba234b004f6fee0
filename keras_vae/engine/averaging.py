"""An exponential moving average of the weights, for evaluation and for keeps.

Polyak and Juditsky 1992; with a decay as in Adam's moments. The average is taken in the
graph, every few steps: weights hardly move between, and so it costs next to nothing.
"""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_vae.engine import checkpoint
from keras_vae.engine.tracing import own_graph

_EVERY = 8  # steps between updates of the average
_YOUNG = 64  # steps at the beginning, after each of which it is updated


class WeightAverage(keras.callbacks.Callback):
    """Averages the trainable weights of a `MultiStepTrainer` while it trains.

    Validation sees the averaged weights. Callbacks between `show` and `hide` in the
    list of callbacks see them at the end of an epoch and of training. `choose` leaves
    them in the model.

    Args:
        decay: Of a step; the average looks back over about 1 / (1 - decay) steps, and
            less at the beginning.
    """

    def __init__(self, decay: float) -> None:
        super().__init__()
        self.decay = decay
        self.shown = False
        self.show, self.hide = _AtEnds(self._show), _AtEnds(self._hide)
        self._pairs: list[tuple[keras.Variable, keras.Variable]] = []

    def set_model(self, model: keras.Model) -> None:
        """Makes the average of a built model's weights, and makes each step move it."""
        super().set_model(model)
        if self._pairs:
            return
        with model.distribute_strategy.scope():
            self._pairs = [
                (keras.Variable(weight, trainable=False, dtype=weight.dtype), weight)
                for weight in model.trainable_variables
            ]
        self._exchange = own_graph(lambda: self._for_each_pair(_exchange))
        model.after_step = self.update

    def update(self, step: tf.Tensor) -> None:
        """Moves the average towards the weights; called after each training step."""
        young = step <= _YOUNG
        every = tf.where(young, 1.0, float(_EVERY))
        seen = tf.cast(step, tf.float32) / every
        # Young averages forget faster, so that the random start does not stay in them.
        decay = tf.minimum(self.decay**every, (1.0 + seen) / (10.0 + seen))

        def move(average: Any, weight: Any) -> None:
            part = tf.cast(1.0 - decay, average.dtype)
            average.assign_sub(part * (average - weight))

        def move_all() -> tf.Tensor:
            self._for_each_pair(move)
            return tf.constant(0)

        due = tf.logical_or(young, step % _EVERY == 0)
        tf.cond(due, move_all, lambda: tf.constant(0))

    def _for_each_pair(self, act: Callable[[Any, Any], None]) -> None:
        extended = self.model.distribute_strategy.extended
        for average, weight in self._pairs:
            extended.update(average.value, act, args=(weight.value,), group=False)

    def _show(self) -> None:
        if not self.shown:
            self._exchange()
            self.shown = True

    def _hide(self) -> None:
        if self.shown:
            self._exchange()
            self.shown = False

    def on_test_begin(self, logs: Any = None) -> None:
        """Validation looks at the average."""
        self._show()

    def on_test_end(self, logs: Any = None) -> None:
        """Training goes on with the weights."""
        self._hide()

    def choose(self) -> None:
        """Leaves the average in the model."""
        self._show()

    def get_state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """Returns what a checkpoint keeps."""
        arrays = {f"{i:04d}": a.numpy() for i, (a, _) in enumerate(self._pairs)}
        return {"shown": self.shown}, arrays

    def set_state(self, state: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
        """Takes it back, after the model's weights of the same moment.

        Raises:
            ValueError: If it is not what `get_state` returned.
        """
        checkpoint.typed(state, {"shown": (bool,)}, "average: ")
        shapes = [tuple(average.shape) for average, _ in self._pairs]
        if [arrays[name].shape for name in sorted(arrays)] != shapes:
            raise ValueError("the averaged weights are those of another model")
        for (average, _), name in zip(self._pairs, sorted(arrays), strict=True):
            average.assign(arrays[name])
        self.shown = state["shown"]
        self._hide()


def _exchange(one: Any, other: Any) -> None:
    value = tf.identity(one)
    one.assign(other)
    other.assign(value)


class _AtEnds(keras.callbacks.Callback):
    """Does something at the end of each epoch and of training."""

    def __init__(self, act: Callable[[], None]) -> None:
        super().__init__()
        self._act = act

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self._act()

    def on_train_end(self, logs: Any = None) -> None:
        self._act()
