"""How far training is: one line an epoch, and on a terminal a bar meanwhile."""

import math
import shutil
import time
from collections.abc import Callable, Mapping
from typing import Any, TextIO

import keras

COLUMNS = 100
"""Lines are no longer than that, whatever the terminal is."""

_LINES = 20  # of a run, where epochs are short
_SECONDS = 60.0  # after which there is a line in any case
_BAR = 24
_CLEAR = "\r\x1b[K"


class Progress(keras.callbacks.Callback):
    """Says what each epoch came to: loss and -ELBO of training and of held-out data.

    On a terminal each epoch has its line, and a bar while it lasts. In a log there is a
    line for the first and the last epoch, 20 between them, and one at least a minute.

    Args:
        say: Takes a line.
        held_out: What the metrics with `val_` in front are of: "validation" or "test".
        scheduled: Whether the weight of the KL follows a schedule and is to be shown.
        terminal: Where the bar is drawn; None: nowhere, as in a log.
    """

    def __init__(
        self,
        say: Callable[[str], None],
        held_out: str = "validation",
        scheduled: bool = False,
        terminal: TextIO | None = None,
    ) -> None:
        super().__init__()
        self._say = say
        self._held_out = held_out
        self._scheduled = scheduled
        self._terminal = terminal

    def on_train_begin(self, logs: Any = None) -> None:
        """Forgets an earlier run."""
        self._last_line = -math.inf

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Starts the clock."""
        self._epoch, self._began = epoch + 1, time.monotonic()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Draws the bar, on a terminal."""
        if self._terminal is None:
            return
        steps = self.params.get("steps") or batch + 1
        bar = _bar((batch + 1) / steps)
        parts = [(0, f"{self._head()}  {bar}"), (1, _metrics("training", logs or {}))]
        self._terminal.write(_CLEAR + fitted(parts, _columns()))
        self._terminal.flush()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Says what the epoch came to, where it is time to."""
        if self._terminal is not None:
            self._terminal.write(_CLEAR)
            self._terminal.flush()
        elif not self._is_due():
            return
        self._last_line = time.monotonic()
        seconds = self._last_line - self._began
        weight = None
        if self._scheduled:
            weight = float(self.model.beta_at(self.model.step))
        parts = epoch_parts(logs or {}, self._held_out, weight, seconds)
        columns = COLUMNS if self._terminal is None else _columns()
        self._say(fitted([(0, self._head()), *parts], columns))

    def _head(self) -> str:
        epochs = self.params["epochs"]
        return f"epoch {self._epoch:>{len(str(epochs))}}/{epochs}"

    def _is_due(self) -> bool:
        epochs = self.params["epochs"]
        return (
            self._epoch in (1, epochs)
            or self._epoch % math.ceil(epochs / _LINES) == 0
            or self.model.stop_training
            or time.monotonic() - self._last_line >= _SECONDS
        )


def epoch_parts(
    logs: Mapping[str, Any],
    held_out: str,
    kl_weight: float | None = None,
    seconds: float | None = None,
) -> list[tuple[int, str]]:
    """Returns what there is to say of an epoch, each with its rank for `fitted`.

    Args:
        logs: The metrics of the epoch.
        held_out: What those with `val_` in front are of.
        kl_weight: That of the moment, where it follows a schedule.
        seconds: What the epoch took.
    """
    ours = {k: v for k, v in logs.items() if not k.startswith("val_")}
    theirs = {k[4:]: v for k, v in logs.items() if k.startswith("val_")}
    parts = [(0, _metrics("training", ours))]
    if theirs:
        parts.append((0, _metrics(held_out, theirs)))
    last = theirs or ours
    if "accuracy" in last:
        parts.append((1, f"accuracy {float(last['accuracy']):.3f}"))
    if kl_weight is not None:
        parts.append((1, f"KL weight {kl_weight:.3g}"))
    if "kl_loss" in last:
        parts.append((2, f"KL {_number(last['kl_loss'])}"))
    if seconds is not None:
        parts.append((3, f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"))
    return parts


def fitted(parts: list[tuple[int, str]], columns: int) -> str:
    """Joins texts to a line; where it is too long, those of the highest rank go first.

    Args:
        parts: Each with its rank; those of rank 0 stay.
        columns: The longest that the line may be; beyond that it is cut.
    """
    kept = list(parts)
    while True:
        line = "  ".join(text for _, text in kept)
        rank = max(rank for rank, _ in kept)
        if len(line) <= columns or rank == 0:
            return line[:columns]
        kept = [part for part in kept if part[0] < rank]


def _metrics(name: str, logs: Mapping[str, Any]) -> str:
    """The loss and -ELBO, or one number where they are the same."""
    if not {"loss", "neg_elbo"} <= logs.keys():
        return f"{name} loss {_number(logs['loss'])}" if "loss" in logs else name
    loss, bound = _number(logs["loss"]), _number(logs["neg_elbo"])
    if loss == bound:
        return f"{name} -ELBO {bound}"
    return f"{name} loss {loss}, -ELBO {bound}"


def _number(value: Any) -> str:
    value = float(value)
    return f"{value:.2f}" if abs(value) < 1e5 else f"{value:.4g}"


def _bar(done: float) -> str:
    filled = round(_BAR * min(1.0, done))
    return f"[{'#' * filled}{'.' * (_BAR - filled)}] {done:4.0%}"


def _columns() -> int:
    """One column is left free: a line that fills all of them would wrap."""
    return max(20, min(COLUMNS, shutil.get_terminal_size().columns - 1))
