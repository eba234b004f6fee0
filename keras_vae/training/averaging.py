"""An exponential moving average of the weights, for evaluation and for keeps.

Polyak and Juditsky 1992; with a decay as in Adam's moments. The average is taken in the
graph, every few steps: weights hardly move between, and so it costs next to nothing.
"""

from typing import Any

import keras
import numpy as np
import tensorflow as tf

_EVERY = 8  # steps between updates of the average


class WeightAverage(keras.callbacks.Callback):
    """Averages the trainable weights of a `ChunkedTrainer` while it trains.

    Validation sees the averaged weights. Callbacks between `show` and `hide` in the list
    of callbacks see them at the end of an epoch.

    Args:
        decay: Of a step; the average looks back over about 1 / (1 - decay) steps, and
            less at the beginning.
    """

    def __init__(self, decay: float) -> None:
        super().__init__()
        self.decay = decay
        self.show = keras.callbacks.LambdaCallback(
            on_epoch_end=lambda epoch, logs: self.swap()
        )
        self.hide = keras.callbacks.LambdaCallback(
            on_epoch_end=lambda epoch, logs: self.swap()
        )
        self._pairs: list[tuple[keras.Variable, keras.Variable]] = []

    def set_model(self, model: keras.Model) -> None:
        """Makes the average of a built model's weights and its place in each step."""
        super().set_model(model)
        if self._pairs:
            return
        with model.distribute_strategy.scope():
            self._pairs = [
                (
                    keras.Variable(weight, trainable=False, dtype=weight.dtype),
                    weight,
                )
                for weight in model.trainable_variables
            ]
        model.after_step = self.update

    def update(self, step: tf.Tensor) -> None:
        """Moves the average towards the weights; called after each training step."""
        strategy = tf.distribute.get_strategy()
        seen = tf.cast(step, tf.float32) / _EVERY
        # Young averages forget faster, so that the random start does not stay in them.
        decay = tf.minimum(self.decay**_EVERY, (1.0 + seen) / (10.0 + seen))

        def move(average: Any, weight: Any) -> None:
            average.assign_sub((1.0 - decay) * (average - weight))

        def move_all() -> tf.Tensor:
            for average, weight in self._pairs:
                strategy.extended.update(average.value, move, args=(weight.value,))
            return tf.constant(0)

        tf.cond(step % _EVERY == 0, move_all, lambda: tf.constant(0))

    def swap(self) -> None:
        """Exchanges the weights and their average."""
        for average, weight in self._pairs:
            value = average.numpy()
            average.assign(weight.numpy())
            weight.assign(value)

    def on_test_begin(self, logs: Any = None) -> None:
        """Validation looks at the average."""
        self.swap()

    def on_test_end(self, logs: Any = None) -> None:
        """Training goes on with the weights."""
        self.swap()

    def get_state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """Returns what a checkpoint keeps."""
        arrays = {f"{i:04d}": a.numpy() for i, (a, _) in enumerate(self._pairs)}
        return {}, arrays

    def set_state(self, state: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
        """Takes it back."""
        for (average, _), name in zip(self._pairs, sorted(arrays), strict=True):
            average.assign(arrays[name])
