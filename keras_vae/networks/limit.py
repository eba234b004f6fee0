"""A limit on the weights of networks, checked before they are made."""

import contextlib
import contextvars
from collections.abc import Iterator

_left: contextvars.ContextVar[list[int] | None] = contextvars.ContextVar(
    "keras_vae_weights_left", default=None
)


class TooManyWeights(ValueError):
    """Networks would have more weights than `at_most` allows.

    Attributes:
        weights: How many they have at least.
    """

    def __init__(self, weights: int) -> None:
        self.weights = weights
        super().__init__(
            f"The networks have {weights:,} weights and more: choose smaller ones."
        )


@contextlib.contextmanager
def at_most(weights: int) -> Iterator[None]:
    """Lets the networks that are made inside have so many weights in all.

    Raises:
        TooManyWeights: If they would have more, before there is room taken for them.
    """
    token = _left.set([weights, 0])
    try:
        yield
    finally:
        _left.reset(token)


def count(weights: int) -> None:
    """Counts weights that are about to be made; called for layers that can be large."""
    state = _left.get()
    if state is not None:
        state[1] += weights
        if state[1] > state[0]:
            raise TooManyWeights(state[1])
