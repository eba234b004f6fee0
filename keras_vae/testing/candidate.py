"""A model under test, its data and a short training of it."""

import functools
from collections.abc import Callable, Collection, Mapping
from typing import Any, NamedTuple

import keras
import numpy as np

from keras_vae.models import registry

BATCH_SIZE = 4
EPOCHS = (11, 9)
"""Examples of the two epochs, whose last batches have 3 and 1."""
MANY = 66
"""Examples that make one batch of 64 and a smaller one."""

_SEED = 3
_RATE = 1e-4


class Run(NamedTuple):
    """What came of a short training."""

    model: Any
    metrics: dict[str, list[float]]
    """Each metric of each epoch, and of `evaluate` at the end."""
    start: list[np.ndarray]
    """The weights that it began with."""
    end: list[np.ndarray]
    """The weights that it ended with."""


class Candidate:
    """A model under test: how to make it, and its data."""

    def __init__(
        self, make: Callable[..., Any], x: Any, y: Any, excused: Collection[str]
    ) -> None:
        self._make, self._x = make, np.asarray(x)
        self._y = None if y is None else np.asarray(y)
        model = self.model()
        self.kind, self.coupled = type(model), bool(model.needs_global_batch)
        self.excused = {*excused, *_excuses_of(self.kind)}

    def model(self, **options: Any) -> Any:
        """Returns the model with its first weights, compiled with `options`."""
        keras.utils.set_random_seed(_SEED)
        model = self._make(seed=_SEED)
        options = {"steps_per_execution": 1, **options}
        # Its steps show the size of gradients, and it has a state to be saved.
        model.compile(keras.optimizers.SGD(_RATE, momentum=0.9), **options)
        model.adapt(self._x, known_labels(model, self._y))
        return model

    def x(self, n: int) -> np.ndarray:
        """Returns n examples, from the first again where there are fewer."""
        return self._x[np.arange(n) % len(self._x)]

    def y(self, n: int) -> np.ndarray | None:
        """Returns what `fit` takes with them."""
        return None if self._y is None else self._y[np.arange(n) % len(self._y)]

    def known(self, model: Any, n: int) -> np.ndarray | None:
        """Returns it as a `condition`, in which no label is missing."""
        return known_labels(model, self.y(n))

    def conditions(self, model: Any, n: int) -> np.ndarray | None:
        """Returns what n examples are conditioned on as signatures take it."""
        if model.condition_spec is None:
            return None
        given = self.known(model, n)
        given = model.region_of(self.x(n)) if given is None else given
        return np.asarray(model.check_condition(given, n))

    def epoch(self, model: Any, number: int) -> dict[str, list[float]]:
        """Trains the first or the second epoch and returns its metrics."""
        n = EPOCHS[number]
        history = model.fit(self.x(n), self.y(n), batch_size=BATCH_SIZE, verbose=0)
        found: dict[str, list[float]] = history.history
        return found

    def evaluated(
        self, model: Any, n: int = EPOCHS[1], batch_size: int = BATCH_SIZE
    ) -> dict[str, float]:
        """Returns the metrics of n examples."""
        found: dict[str, float] = model.evaluate(
            self.x(n), self.y(n), batch_size=batch_size, verbose=0, return_dict=True
        )
        return found

    def ended(
        self, model: Any, first: dict[str, list[float]], start: list[np.ndarray]
    ) -> Run:
        """Trains the second epoch and evaluates."""
        second, last = self.epoch(model, 1), self.evaluated(model)
        metrics = {name: [*first[name], *second[name], last[name]] for name in last}
        return Run(model, metrics, start, weights_of(model))

    def trained(self, **options: Any) -> Run:
        """Trains a new model for two epochs, whose last batches are smaller."""
        model = self.model(**options)
        start = weights_of(model)
        return self.ended(model, self.epoch(model, 0), start)

    @functools.cached_property
    def untrained(self) -> Any:
        """A model that is only evaluated."""
        return self.model()

    @functools.cached_property
    def reference(self) -> Run:
        """The run in a graph on one device, one step a call, of whole batches."""
        return self.trained()


def _excuses_of(kind: type) -> Mapping[str, str]:
    """Returns what the nearest class of the registry is excused from."""
    for base in kind.__mro__:
        for entry in registry.MODELS.values():
            home = f"keras_vae.models.{entry.module}"
            if (base.__module__, base.__name__) == (home, entry.class_name):
                return entry.excused
    return {}


def known_labels(model: Any, y: np.ndarray | None) -> np.ndarray | None:
    """Returns y with a label in place of each that is missing."""
    return np.maximum(y, 0) if y is not None and model.infers_condition else y


def weights_of(model: Any) -> list[np.ndarray]:
    """Returns the values of all that is trained."""
    return [variable.numpy() for variable in model.trainable_variables]


def require_same(
    found: Any, expected: Any, what: str, rtol: float = 1e-4, atol: float = 1e-5
) -> None:
    """Requires equal numbers; NaN equals nothing."""
    got, wanted = np.asarray(found), np.asarray(expected)
    if got.shape != wanted.shape:
        raise AssertionError(f"{what} has shape {got.shape}; expected {wanted.shape}.")
    apart = np.abs(got.astype(np.float64) - wanted)
    if not np.all(apart <= atol + rtol * np.abs(wanted)):
        worst = np.argmax(np.nan_to_num(apart, nan=np.inf))
        position = np.unravel_index(worst, got.shape)
        raise AssertionError(
            f"{what} is {got[position]:.7g}; expected {wanted[position]:.7g}."
        )


def require_same_metrics(
    found: Mapping[str, Any], expected: Mapping[str, Any], how: str, rtol: float = 1e-4
) -> None:
    """Requires the same metrics, up to the rounding of sums of their size."""
    if found.keys() != expected.keys():
        raise AssertionError(
            f"{how}, the metrics are {', '.join(found)}; expected "
            f"{', '.join(expected)}."
        )
    largest = max(np.max(np.abs(value)) for value in expected.values())
    for name, value in expected.items():
        rounding = 0.1 * rtol * float(largest)
        require_same(found[name], value, f"{how}, {name}", rtol, rounding)


def require_same_run(found: Run, expected: Run, how: str, rtol: float = 1e-4) -> None:
    """Requires the same metrics and the same weights of two runs."""
    require_same_metrics(found.metrics, expected.metrics, how, rtol)
    moves = [a - b for a, b in zip(expected.end, expected.start, strict=True)]
    largest = max(np.abs(move).max(initial=0.0) for move in moves)
    names = [variable.path for variable in expected.model.trainable_variables]
    for name, got, wanted in zip(names, found.end, expected.end, strict=True):
        apart = np.abs(got - wanted).max(initial=0.0)
        if not apart <= 100 * rtol * largest + 1e-6:
            raise AssertionError(
                f"{how}, the weights {name} end {apart:.2g} off; no weight moves by "
                f"more than {largest:.2g}."
            )


def require_finite(values: Any, what: str) -> None:
    """Requires numbers that are neither infinite nor NaN."""
    if not np.all(np.isfinite(np.asarray(values, np.float64))):
        raise AssertionError(f"{what} is not finite.")
