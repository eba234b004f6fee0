"""Examples in chunks that memory has room for, and graphs that are traced once.

All that one does with a trained model, and all that is measured of it, goes through
here: `over_examples` and `over_latents` for a function of x and of z, `examples` and
`graph` for anything else.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple, Protocol

import keras
import numpy as np
import tensorflow as tf

from keras_vae.engine import parallel
from keras_vae.engine.inputs import as_data, is_array
from keras_vae.errors import invalid_argument
from keras_vae.noise import Domain, RowNoise

NUMBERS_PER_CALL = {"CPU": 2**21, "GPU": 2**26}
"""Numbers that a call works on at its widest. A few MB stay in the caches of a CPU."""

MOST_EXAMPLES = 1024
"""Examples of a call: the hidden layers of small ones are wider than they are."""


Function = Callable[..., Any]


class Model(Protocol):
    """What is asked of a model to go over examples with it."""

    data_shape: tuple[int, ...]
    seed: int
    condition_spec: tf.TensorSpec | None
    """Of a batch of conditions; None for models without."""
    numbers_per_sample: int
    """How many numbers a sample of z of one example takes at its widest."""

    def check_input(self, x: Any) -> None:
        """Raises a ValueError where examples do not fit the model."""

    def check_condition(self, condition: Any, n: int) -> Any:
        """Returns a condition for n examples as an array, one for each."""

    def given_condition(self, y: Any) -> Any:
        """Returns the y of a dataset's batch as the condition; None if it is none."""

    def check_targets(self, y: Any, n: int) -> Any:
        """Returns the y of n examples as steps take it."""

    def split_inputs(self, inputs: Any) -> tuple[tf.Tensor, Any]:
        """Returns x, float32 in the data's units, and the condition or None."""

    def condition_on(self, x: tf.Tensor, condition: Any, noise: RowNoise) -> Any:
        """Returns the conditions of examples, of those not given what it takes."""

    def bound_condition(self, x: tf.Tensor, condition: Any, noise: RowNoise) -> Any:
        """As `condition_on`, for `bound_terms` and `log_weights`."""

    def ensure_built(self) -> None:
        """Builds the model where it was not."""


class Chunk(NamedTuple):
    """Examples that go through a model together."""

    first: int
    """The index of the first among all examples."""
    x: tf.Tensor
    """float32 in the data's units, (n, *data_shape)."""
    condition: Any
    """Of each of them; None for models without."""


def chunk_size(model: Model, num_samples: int = 1) -> int:
    """Returns how many examples a call takes, with so many samples of z for each."""
    device = "GPU" if tf.config.list_logical_devices("GPU") else "CPU"
    numbers = num_samples * model.numbers_per_sample
    return max(1, min(MOST_EXAMPLES, NUMBERS_PER_CALL[device] // numbers))


def _shared(n: int, size: int) -> int:
    """Returns the size of chunks of n examples, no larger than the share of a call."""
    return max(1, min(size, -(-n // parallel.calls_at_once())))


def slices(n: int, size: int) -> Iterator[slice]:
    """Yields where the chunks of n examples are; of none there is one, empty."""
    for first in range(0, max(1, n), size):
        yield slice(first, min(first + size, n))


def examples(
    model: Model,
    x: Any,
    condition: Any = None,
    *,
    num_samples: int = 1,
    bound: bool = False,
    limit: int | None = None,
) -> Iterator[Chunk]:
    """Yields examples in chunks, with what the model is given with them.

    Args:
        model: The model.
        x: An array, what is read when asked for, or batches (x, y).
        condition: For conditional models, of the examples of an array.
        num_samples: Of z for each example.
        bound: Whether conditions are those that `bound_terms` and `log_weights` take.
        limit: Of what is read when asked for only so many, evenly spread.

    Raises:
        ValueError: If examples or conditions do not fit the model.
    """
    condition_of = model.bound_condition if bound else model.condition_on
    for first, values, given in read(model, x, condition, num_samples, limit):
        # A random region of x that a model is given is the one that `evaluate` draws.
        noise = RowNoise(model.seed, 0, first, Domain.EVALUATION)
        given = condition_of(values, given, noise)
        yield Chunk(
            first, values, None if given is None else tf.convert_to_tensor(given)
        )


def read(
    model: Model,
    x: Any,
    condition: Any = None,
    num_samples: int = 1,
    limit: int | None = None,
) -> Iterator[Chunk]:
    """Yields chunks as `examples`, with conditions only where they were given."""
    x = as_data(x, model.data_shape)
    size, first = chunk_size(model, num_samples), 0
    if is_array(x):
        size = _shared(len(x) if limit is None else min(limit, len(x)), size)
    for batch, given in _checked(model, x, condition, size, limit):
        for rows in slices(len(batch), size):
            values = model.split_inputs(batch[rows])[0]
            yield Chunk(first, values, None if given is None else given[rows])
            first += len(values)


def _checked(
    model: Model, x: Any, condition: Any, size: int, limit: int | None
) -> Iterator[tuple[Any, Any]]:
    """Yields x and the condition in what they come in, once they fit the model."""
    if hasattr(x, "gather"):
        model.check_input(x)
        n = len(x) if limit is None else min(limit, len(x))
        chosen = np.arange(n) * max(1, len(x) // max(1, n))
        condition = model.check_condition(condition, len(x))
        condition = None if condition is None else condition[chosen]
        for rows in slices(n, size):
            batch = x.gather(tf.constant(chosen[rows]))
            model.check_input(batch)
            yield batch, None if condition is None else condition[rows]
    elif is_array(x):
        model.check_input(x)
        yield x, model.check_condition(condition, len(x))
    else:
        yield from _batches(model, x)


def _batches(model: Model, x: Any) -> Iterator[tuple[Any, Any]]:
    endless = tf.data.INFINITE_CARDINALITY
    if isinstance(x, tf.data.Dataset) and int(x.cardinality()) == endless:
        raise invalid_argument(
            "x",
            "a dataset that ends",
            received="one that repeats for ever",
            advice="Take some of it, x.take(100).",
        )
    empty = True
    for batch in x:
        empty = False
        values, y, _ = keras.utils.unpack_x_y_sample_weight(batch)
        model.check_input(values)
        given = None if y is None else model.given_condition(y)
        if given is not None:
            given = model.check_targets(np.asarray(given), len(values))
        yield values, given
    if empty:
        received = f"a {type(x).__name__} without any"
        raise invalid_argument("x", "at least one batch", received=received)


def over_examples(
    model: Model,
    graph_key: str,
    function: Function,
    x: Any,
    condition: Any = None,
    *more: tf.Tensor,
    num_samples: int = 1,
    bound: bool = False,
) -> list[np.ndarray]:
    """Returns what a function gives for all examples, an array for each output.

    Args:
        model: The model; it is built where it was not.
        graph_key: Under which the model keeps the graph of the function, see `graph`.
        function: Of x and the condition of a chunk, the index of its first example
            among all, int32, and of `more`. It returns a sequence of tensors, each an
            entry for each example.
        x: As for `examples`.
        condition: As for `examples`.
        *more: What else the function takes.
        num_samples: As for `examples`.
        bound: As for `examples`.
    """
    model.ensure_built()
    parts = examples(model, x, condition, num_samples=num_samples, bound=bound)
    return _over(model, graph_key, function, parts, more)


def over_latents(
    model: Model,
    graph_key: str,
    function: Function,
    z: Any,
    condition: Any = None,
    *more: tf.Tensor,
) -> np.ndarray:
    """Returns what a function gives for all z (n, width), (n, ...).

    Args:
        model: The model; it is built where it was not.
        graph_key: Under which the model keeps the graph of the function for z of that
            width, see `graph`.
        function: Of z and the condition of a chunk, the index of its first z among all,
            int32, and of `more`. It returns a tensor with an entry for each z.
        z: float32.
        condition: Of each z, for conditional models.
        *more: What else the function takes.
    """
    model.ensure_built()
    z = np.asarray(z)
    spec = tf.TensorSpec([None, z.shape[1]], tf.float32)
    parts = (
        Chunk(
            rows.start,
            tf.constant(z[rows]),
            None if condition is None else tf.convert_to_tensor(condition[rows]),
        )
        for rows in slices(len(z), _shared(len(z), chunk_size(model)))
    )

    def each(*arguments: Any) -> list[tf.Tensor]:
        return [function(*arguments)]

    by_width = f"{graph_key}, {z.shape[1]} of z"
    (found,) = _over(model, by_width, each, parts, more, spec)
    return found


def _over(
    model: Model,
    graph_key: str,
    function: Function,
    parts: Iterable[Chunk],
    more: Sequence[tf.Tensor],
    of: tf.TensorSpec | None = None,
) -> list[np.ndarray]:
    specs = [tf.TensorSpec([], tf.int32), *map(tf.TensorSpec.from_tensor, more)]
    call = graph(model, graph_key, function, *specs, of=of)

    def called(part: Chunk) -> list[np.ndarray]:
        outputs = call(part.x, part.condition, tf.constant(part.first), *more)
        # On a CPU these are views: `numpy()` would copy what is copied again below.
        return [np.asarray(output) for output in outputs]

    found = parallel.mapped(called, parts)
    return [np.concatenate(column) for column in zip(*found, strict=True)]


def graph(
    model: Model,
    graph_key: str,
    function: Function,
    *more: tf.TensorSpec,
    of: tf.TensorSpec | None = None,
) -> Callable[..., Any]:
    """Returns the graph of a function, traced once for a model, which keeps it.

    Two functions must not share a key: of the second the graph of the first would be
    returned. What a function takes from outside of its arguments (a number of samples,
    a seed) is fixed in its graph, and so belongs in the key.

    Args:
        model: The model, built.
        graph_key: Under which the model keeps the graph; each key is traced once.
        function: Of x, the condition and `more`.
        *more: What else it takes.
        of: What it takes in the place of x.
    """
    # Not an attribute, which Keras would look into when the model is saved.
    graphs: dict[str, Any] = model.__dict__.setdefault("_graphs", {})
    if graph_key not in graphs:
        x = of or tf.TensorSpec([None, *model.data_shape], tf.float32)
        specs = x, model.condition_spec, *more
        try:
            plain = tf.function(function, autograph=False)
            graphs[graph_key] = plain.get_concrete_function(*specs)
        except tf.errors.OperatorNotAllowedInGraphError:
            # An `if` of a tensor in a subclass; AutoGraph reads it, and takes longer.
            graphs[graph_key] = tf.function(function).get_concrete_function(*specs)
    return graphs[graph_key]
