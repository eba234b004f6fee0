"""From examples in memory or on disk to batches for a training step.

The order of the examples and the random binarisation are pure functions of the seed and
of a running count of steps, so a run can start at any step as if it had never stopped,
and the global batch is the same on any number of replicas.
"""

import functools
import weakref
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from keras_vae.data.order import shuffled
from keras_vae.errors import invalid_argument
from keras_vae.naming import lookup
from keras_vae.noise import Domain, RowNoise
from keras_vae.units import is_scaled

BINARIZE = ("none", "threshold", "static", "dynamic")
"""What can be done to grey values: nothing; 1 from one half up; drawn once for each
image; drawn afresh each time an image is used."""

_MOST_COPIED = 2**27
"""Bytes of an array up to which TensorFlow has a copy, which is faster to read."""

Gather = Callable[[tf.Tensor], tf.Tensor]


class Share(NamedTuple):
    """The examples of each global batch that one of several workers takes.

    The batch is cut by the number of replicas, rounded up, so the last replicas may
    have fewer examples or none.
    """

    worker: int
    workers: int
    replicas: int
    """Of all workers together."""

    @property
    def local_replicas(self) -> int:
        """Replicas of the worker."""
        return self.replicas // self.workers


_WHOLE = Share(0, 1, 1)


def num_batches(num_examples: int, batch_size: int) -> int:
    """Returns how many batches hold all examples once; the last may be partial."""
    return -(-num_examples // batch_size)


def batches(
    x: Any,
    y: Any = None,
    *,
    sample_weight: Any = None,
    batch_size: int,
    shuffle: bool = True,
    seed: int = 0,
    start_step: int = 0,
    binarize: str = "none",
    augment: Callable[[tf.Tensor, RowNoise], tf.Tensor] | None = None,
    repeat: bool = True,
    rows: np.ndarray | None = None,
    share: Share = _WHOLE,
) -> tf.data.Dataset:
    """Returns a dataset of batches: `x`, `(x, y)` or `(x, y, sample_weight)`.

    Each epoch has every example once; the last batch of an epoch is partial where the
    batch size does not divide the number of examples.

    Args:
        x: `(n, ...)` array, uint8 and uint16 scaled to [0, 1] as float32; or an object
            with `__len__` and `gather(rows)` that reads examples in the graph. An array
            of more than 128 MiB is read as batches are made, and must not change until
            then; of smaller ones there is a copy.
        y: `(n, ...)` array handed through, or None.
        sample_weight: `(n,)` array or None.
        batch_size: Examples in a global batch, at least 1.
        shuffle: Another order each epoch; else the order of `x`.
        seed: Of the order and of the binarisation.
        start_step: The step to start at, counted over epochs.
        binarize: One of `BINARIZE`.
        augment: Called with the float batch and its `RowNoise` before binarising.
        repeat: Go on for ever; else stop at the end of the epoch of `start_step`.
        rows: Which examples an epoch has, some of them more than once maybe; None:
            all once.
        share: What one of several workers takes of each batch: its rows alone are
            read, and each of its replicas has a batch of its own.

    Raises:
        ValueError: If an argument is out of range, or lengths differ.
    """
    lookup("binarize", binarize, dict.fromkeys(BINARIZE))
    _check_lengths(len(x), {"y": y, "sample_weight": sample_weight}, batch_size)
    if binarize == "static" and augment is None and isinstance(x, np.ndarray):
        x, binarize = binarize_once(x, seed), "none"
    positions = _Positions(batch_size, len(x) if rows is None else len(rows), share)
    how = _How(shuffle, seed, rows, augment, binarize)
    batch = _batch_maker(x, y, sample_weight, positions, how)
    counter = positions.steps_from(start_step, repeat)
    # Reading from disk gains from a second batch under way; memory does not.
    parallel = None if isinstance(x, np.ndarray) else 2
    dataset = counter.map(batch, num_parallel_calls=parallel)
    if share.local_replicas > 1:
        dataset = tf.data.Dataset.zip(counter, dataset).flat_map(positions.split)
    return dataset.prefetch(2).with_options(_in_order())


class _How(NamedTuple):
    """What is done to the examples of a batch; see `batches`."""

    shuffle: bool
    seed: int
    rows: np.ndarray | None
    augment: Callable[[tf.Tensor, RowNoise], tf.Tensor] | None
    binarize: str


def _batch_maker(
    x: Any, y: Any, sample_weight: Any, positions: "_Positions", how: _How
) -> Callable[[tf.Tensor], Any]:
    """Returns what makes the batch of a step, in the graph."""
    seed = how.seed
    companions = [np.asarray(a) for a in (y, sample_weight) if a is not None]
    gather_x, *gather_others = map(_gather, (x, *companions))
    example_of = None if how.rows is None else _gather(np.asarray(how.rows, np.int64))

    def batch(step: tf.Tensor) -> Any:
        begin, end, _ = positions.of_share(step)
        chosen = positions.first(step) + tf.range(begin, end)
        # Steps cost less where the graph knows their size.
        chosen = tf.ensure_shape(chosen, [positions.size])
        if how.shuffle:
            chosen = shuffled(chosen, seed, step // positions.steps, positions.examples)
        if example_of is not None:
            chosen = example_of(chosen)
        noise = RowNoise(seed, step, begin, domain=Domain.DATA)
        values = gather_x(chosen)
        if how.augment is not None:
            values = how.augment(as_unit(values), noise)
        values = _binarized(values, how.binarize, noise, chosen, seed)
        others = [gather(chosen) for gather in gather_others]
        if not others:
            return values
        return (values, *([] if y is not None else [None]), *others)

    return batch


def distributed(
    strategy: tf.distribute.Strategy, x: Any, y: Any = None, **options: Any
) -> tf.data.Dataset | tf.distribute.DistributedDataset:
    """Returns `batches` without end, cut up for the workers of a strategy.

    With one worker it is the dataset itself, which Keras cuts up for the replicas.

    Args:
        strategy: What trains on them.
        x: As `batches`.
        y: As `batches`.
        **options: As `batches`.
    """

    def of_worker(context: tf.distribute.InputContext) -> tf.data.Dataset:
        share = Share(
            context.input_pipeline_id,
            context.num_input_pipelines,
            context.num_replicas_in_sync,
        )
        return batches(x, y, share=share, **options)

    if strategy.cluster_resolver is None:
        return batches(x, y, **options)
    return strategy.distribute_datasets_from_function(of_worker)


class _Positions(NamedTuple):
    """Which positions in the order of an epoch a step takes."""

    batch_size: int
    examples: int
    """Examples of an epoch."""
    share: Share

    @property
    def steps(self) -> int:
        """Steps of an epoch."""
        return num_batches(self.examples, self.batch_size)

    @property
    def size(self) -> int | None:
        """Examples of each step; None where the last of an epoch has fewer."""
        same = self.share == _WHOLE and self.examples % self.batch_size == 0
        return self.batch_size if same else None

    def steps_from(self, step: int, repeat: bool) -> tf.data.Dataset:
        """Counts steps from one on, without end or to the end of its epoch."""
        if repeat:
            return tf.data.Dataset.counter(step, dtype=tf.int64)
        return tf.data.Dataset.range(step, (step // self.steps + 1) * self.steps)

    def first(self, step: tf.Tensor) -> tf.Tensor:
        """Where the global batch begins."""
        return step % self.steps * self.batch_size

    def of_share(self, step: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Where the share begins and ends in it, and how many a replica takes."""
        whole = tf.constant(self.batch_size, tf.int64)
        total = tf.minimum(whole, self.examples - self.first(step))
        each = -(-total // self.share.replicas)
        of_worker = each * self.share.local_replicas
        begin = tf.minimum(self.share.worker * of_worker, total)
        return begin, tf.minimum(begin + of_worker, total), each

    def split(self, step: tf.Tensor, taken: Any) -> tf.data.Dataset:
        """Cuts what a worker takes of a batch into what its replicas take."""
        _, _, each = self.of_share(step)
        return tf.data.Dataset.range(self.share.local_replicas).map(
            lambda replica: tf.nest.map_structure(
                lambda part: part[replica * each : (replica + 1) * each], taken
            )
        )


def _in_order() -> tf.data.Options:
    """Batches come in the order of their steps, and each replica gets its share."""
    options = tf.data.Options()
    options.deterministic = True
    # Nothing is left to tune, and the thread that would do it keeps iterators from
    # being deleted for up to a minute.
    options.autotune.enabled = False
    options.experimental_distribute.auto_shard_policy = (
        tf.data.experimental.AutoShardPolicy.DATA
    )
    return options


def _check_lengths(n: int, companions: dict[str, Any], batch_size: int) -> None:
    if n < 1 or batch_size < 1:
        raise invalid_argument(
            "batch_size" if n else "x",
            "at least one example and a batch of at least 1",
            received=f"len(x)={n}, batch_size={batch_size}",
        )
    for name, values in companions.items():
        if values is not None and len(values) != n:
            raise invalid_argument(
                name,
                f"one for each of the {n} examples of `x`",
                received=str(len(values)),
            )


def binarize_once(x: np.ndarray, seed: int) -> np.ndarray:
    """Returns one Bernoulli draw of each example, uint8 of 0 and 255, `(n, ...)`.

    The draw of an example depends on the seed and on its row alone. Grey values are
    scaled as in `batches`.
    """
    drawn = np.empty(x.shape, np.uint8)
    rows = max(1, 2**22 // max(1, x[0].size))
    for first in range(0, len(x), rows):
        grey = as_unit(tf.constant(x[first : first + rows]))
        noise = RowNoise(seed, 0, first, domain=Domain.STATIC)
        on = noise.uniform(len(grey), x.shape[1:], "binarize") < grey
        drawn[first : first + rows] = np.where(on, 255, 0)
    return drawn


def binarized_rows(grey: tf.Tensor, rows: tf.Tensor, seed: int) -> tf.Tensor:
    """The draws of `binarize_once` for some rows, in the graph.

    Args:
        grey: float32 `(n, ...)` in [0, 1].
        rows: int64 `(n,)`, which rows of all the examples they are.
        seed: As there.

    Returns:
        Boolean `(n, ...)`.
    """
    shape = grey.shape[1:]

    def one(pair: tuple[tf.Tensor, tf.Tensor]) -> tf.Tensor:
        row, values = pair
        noise = RowNoise(seed, 0, row, domain=Domain.STATIC)
        return noise.uniform(1, shape, "binarize")[0] < values

    return tf.map_fn(one, (rows, grey), fn_output_signature=tf.bool)


def as_unit(x: Any) -> tf.Tensor:
    """uint8 and uint16 scaled to [0, 1], other numbers as they are; float32."""
    x = tf.convert_to_tensor(x)
    if is_scaled(x.dtype.as_numpy_dtype):
        return tf.cast(x, tf.float32) * (1.0 / x.dtype.max)
    return tf.cast(x, tf.float32)


def _gather(x: Any) -> Gather:
    if hasattr(x, "gather"):
        return x.gather
    x = np.asarray(x)
    if x.nbytes > _MOST_COPIED and x.dtype.kind in "biuf":
        return functools.partial(_rows_of, x)
    with tf.device("CPU:0"):  # where tf.data works
        values = tf.constant(np.ascontiguousarray(x))
    return lambda rows: tf.gather(values, rows)


def _rows_of(x: np.ndarray, rows: tf.Tensor) -> tf.Tensor:
    """Returns rows of an array that stays where it is, in memory or mapped from disk.

    A constant would be a copy of it, and another while that is made.
    """
    dtype = x.dtype.newbyteorder("=")
    # TensorFlow never forgets `read`. The dataset has what keeps the array.
    array = weakref.ref(x)

    def read(rows: np.ndarray) -> np.ndarray:
        whole = array()
        if whole is None:
            raise RuntimeError("The dataset of these batches has been deleted.")
        return np.asarray(whole[rows], dtype)

    found = tf.numpy_function(read, [rows], dtype, stateful=False)
    return tf.ensure_shape(found, [*rows.shape, *x.shape[1:]])


def _binarized(
    x: tf.Tensor, binarize: str, noise: RowNoise, rows: tf.Tensor, seed: int
) -> tf.Tensor:
    if binarize == "none":
        return as_unit(x)
    if binarize == "threshold":
        return tf.cast(as_unit(x) >= 0.5, tf.float32)
    event_shape = x.shape[1:]
    if binarize == "static":
        return tf.cast(binarized_rows(as_unit(x), rows, seed), tf.float32)
    count = tf.shape(x)[0]
    if x.dtype == tf.uint8:
        # A byte k is on with probability k / 255, to within 2**-17, and 0 and 255 are
        # never and always on. 16 bits decide that for half the price of a float, and
        # 65536 k / 255 is 257 k + k / 255, rounded.
        byte = tf.cast(x, tf.int32)
        threshold = 257 * byte + tf.bitwise.right_shift(byte, 7)
        on = noise.bits16(count, event_shape, "binarize") < threshold
    else:
        on = noise.uniform(count, event_shape, "binarize") < as_unit(x)
    return tf.cast(on, tf.float32)
