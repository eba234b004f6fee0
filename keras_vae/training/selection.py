"""What selects a model by data set aside: the best so far, and when to stop."""

from types import NoneType
from typing import Any

import keras
import numpy as np

from keras_vae.engine import checkpoint
from keras_vae.models.schedules import is_final


class BestSoFar(keras.callbacks.Callback):
    """Remembers the weights of the lowest validation loss; stops when none follows.

    As `keras.callbacks.EarlyStopping`, but its state is part of a checkpoint, so a
    resumed run stops where an unbroken one would, and the weights are put back by
    `choose`, which a run that was killed after its last epoch calls too.

    Args:
        patience: Epochs without a better loss before training stops; 0: never.
        monitor: Name of the metric in the logs; lower is better.
        scheduled: Whether weights of the loss follow a schedule. Patience then begins
            once they have their final values: what is trained at others may be worse
            at those for a while.
    """

    def __init__(
        self, patience: int, monitor: str = "val_loss", scheduled: bool = False
    ) -> None:
        super().__init__()
        self.patience = patience
        self.monitor = monitor
        self.scheduled = scheduled
        self.best, self.best_epoch, self.wait = np.inf, 0, 0
        self._weights: list[np.ndarray] = []

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Looks at the epoch's metric."""
        value = float((logs or {})[self.monitor])
        if value < self.best:
            self.best, self.best_epoch, self.wait = value, epoch + 1, 0
            self._weights = self.model.get_weights()
            return
        if self.scheduled and not self._is_settled():
            return
        self.wait += 1
        if self.patience and self.wait >= self.patience:
            self.model.stop_training = True

    def _is_settled(self) -> bool:
        weights = self.model.beta, getattr(self.model, "capacity", None)
        return all(is_final(weight, self.model.step) for weight in weights)

    def choose(self) -> None:
        """Gives the model the best weights, if an epoch had any."""
        if self._weights:
            self.model.set_weights(self._weights)

    def get_state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """Returns what a checkpoint keeps."""
        best = float(self.best) if np.isfinite(self.best) else None
        state = {"best": best, "best_epoch": self.best_epoch, "wait": self.wait}
        return state, {f"{i:04d}": w for i, w in enumerate(self._weights)}

    def set_state(self, state: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
        """Takes it back.

        Raises:
            ValueError: If it is not what `get_state` returned.
        """
        number = (int, float)
        kinds = {"best": (*number, NoneType), "best_epoch": (int,), "wait": (int,)}
        checkpoint.typed(state, kinds, "best so far: ")
        shapes = [np.shape(weight) for weight in self.model.get_weights()]
        found = [arrays[name].shape for name in sorted(arrays)]
        if found != (shapes if state["best_epoch"] else []):
            raise ValueError("the best weights are those of another model")
        self.best = np.inf if state["best"] is None else state["best"]
        self.best_epoch, self.wait = state["best_epoch"], state["wait"]
        self._weights = [arrays[name] for name in sorted(arrays)]
