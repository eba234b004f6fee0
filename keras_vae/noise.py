"""Noise by row: the same numbers for the same example, however examples are batched.

A training step on one device, on four, or a second time after a restart must see the
same noise. So noise here is a pure function of (seed, domain, stream, step, row), where
the row is the example's index in the global batch. It is drawn with the counter-based
Philox generator (Salmon et al. 2011): the key is made of seed, domain and stream, the
high half of the counter is the step and the low half counts rows, so that any range of
rows costs just its own numbers. Under XLA normal noise has other numbers, repeatable
too.
"""

import contextlib
import contextvars
import enum
import hashlib
import math
import numbers
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

_PHILOX = 1  # tf.random.Algorithm.PHILOX, the value of the kernels' `alg` input
_NUMBERS_PER_COUNT = 4  # 32-bit numbers that one counter value of Philox gives


def _key_of_name(name: str) -> int:
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest())


def _seed_to_uint64(seed: Any) -> tf.Tensor:
    if isinstance(seed, numbers.Integral):
        return tf.constant(int(seed) % 2**64, tf.uint64)
    return tf.bitcast(tf.cast(seed, tf.int32), tf.uint64)


def as_tensor(seed: Any) -> tf.Tensor:
    """Returns a seed that `RowNoise` takes as a tensor, int32 (2,)."""
    if isinstance(seed, numbers.Integral):
        seed = np.asarray([int(seed) % 2**64], np.uint64).view(np.int32)
    return tf.cast(seed, tf.int32)


class Domain(enum.StrEnum):
    """What noise is for: under one seed each domain has numbers of its own.

    The values are part of what the numbers are made of, and stay as they are. Domains
    of a model's own are made of these: `f"{noise.domain}/labels"`.
    """

    TRAINING = "training"
    """Training steps: z, dropout."""
    EVALUATION = "evaluation"
    """Test steps, the bound of given examples, and what stands in for a condition."""
    CALL = "call"
    """Calls of a model outside of `fit`, with training=False."""
    TRAINING_CALL = "call/training"
    """Calls of a model outside of `fit`, in training mode."""
    PRIOR = "prior"
    """z drawn from p(z)."""
    POSTERIOR = "posterior"
    """z drawn from q(z|x) by an exported model."""
    AGGREGATE = "aggregate"
    """z of the density of the aggregate posterior, and those that it is fitted to."""
    DRAW = "draw"
    """x drawn from p(x|z)."""
    IMPORTANCE = "importance"
    """Importance samples of z, for the NLL."""
    PERMUTATION = "permutation"
    """The order in which FactorVAE permutes latents over examples."""
    VIEW = "view"
    """With its number: views of x that M2 infers a label from."""
    ORDER = "order"
    """The order of the examples of an epoch."""
    DATA = "data"
    """What is random in training data: dynamic binarisation, augmentation."""
    STATIC = "static"
    """Binarisation that is drawn once for all epochs."""


class RowNoise:
    """Noise that depends on the seed, the step and the row alone.

    Args:
        seed: A Python int, or an int32 tensor of shape (2,).
        step: Training step, or any number that tells draws apart; int or int64 scalar.
        first_row: The index of the first row in the global batch; int or int64 scalar.
        domain: What the noise is for, a `Domain` or a name made of one.
    """

    def __init__(
        self,
        seed: Any,
        step: Any = 0,
        first_row: Any = 0,
        domain: str = Domain.TRAINING,
    ) -> None:
        self.seed = seed
        self.step = step
        self.first_row = first_row
        self.domain = domain

    def normal(
        self, rows: Any, event_shape: Sequence[int], stream: str = "z"
    ) -> tf.Tensor:
        """Returns standard normal noise, float32 of shape `(rows, *event_shape)`."""
        return self._draw(
            tf.raw_ops.StatelessRandomNormalV2, rows, event_shape, stream, tf.float32
        )

    def uniform(
        self, rows: Any, event_shape: Sequence[int], stream: str = "u"
    ) -> tf.Tensor:
        """Returns noise uniform on [0, 1), float32 of shape `(rows, *event_shape)`."""
        return self._draw(
            tf.raw_ops.StatelessRandomUniformV2, rows, event_shape, stream, tf.float32
        )

    def bits16(
        self, rows: Any, event_shape: Sequence[int], stream: str = "bits"
    ) -> tf.Tensor:
        """Returns integers uniform on 0 to 65,535, int32 `(rows, *event_shape)`.

        Half the work of `uniform`, for draws that 16 bits decide.
        """
        size = math.prod(event_shape)
        pairs = self._bits(rows, (-(-size // 2),), stream)
        halves = tf.reshape(tf.bitcast(pairs, tf.uint16), [rows, -(-size // 2) * 2])
        if size % 2:
            halves = halves[:, :size]
        return tf.cast(tf.reshape(halves, [rows, *event_shape]), tf.int32)

    def bits32(
        self, rows: Any, event_shape: Sequence[int], stream: str = "bits"
    ) -> tf.Tensor:
        """Returns integers uniform on 0 to 2**32 - 1, int64 `(rows, *event_shape)`."""
        return tf.cast(self._bits(rows, event_shape, stream), tf.int64)

    def _bits(self, rows: Any, event_shape: Sequence[int], stream: str) -> tf.Tensor:
        return self._draw(
            tf.raw_ops.StatelessRandomUniformFullIntV2,
            rows,
            event_shape,
            stream,
            tf.uint32,
        )

    def _draw(
        self,
        op: Any,
        rows: Any,
        event_shape: Sequence[int],
        stream: str,
        dtype: tf.DType,
    ) -> tf.Tensor:
        given = _injected.get()
        if given is not None:
            return given.take(op, rows, event_shape)
        size = math.prod(event_shape)
        counts = max(1, -(-size // _NUMBERS_PER_COUNT))
        key = tf.bitwise.bitwise_xor(
            _seed_to_uint64(self.seed),
            tf.constant(_key_of_name(f"{self.domain}/{stream}"), tf.uint64),
        )
        first = tf.cast(self.first_row, tf.int64) * counts
        counter = [tf.cast(first, tf.uint64), tf.cast(self.step, tf.uint64)]
        # One axis, whose length is even: XLA makes normals in pairs along the first
        # axis of even length, which must not depend on the number of rows.
        width = counts * _NUMBERS_PER_COUNT
        numbers = op(
            shape=tf.reshape(rows * width, [1]),
            key=key[tf.newaxis],
            counter=tf.stack(counter),
            alg=tf.constant(_PHILOX, tf.int32),
            dtype=dtype,
        )
        if size != width:
            numbers = tf.reshape(numbers, [rows, width])[:, :size]
        return tf.reshape(numbers, [rows, *event_shape])


class SamplesNoise(RowNoise):
    """Noise for several samples of each example, a batch that is repeated as often.

    Rows 0 to n - 1 are the batch, n to 2 n - 1 the batch again, and so on. What a
    sample sees depends on its number and the example's index in the global batch, not
    on how many examples there are.

    Args:
        noise: Of the batch.
        num_samples: How often it is repeated.
        wanted: How many of the samples are drawn, the first ones, an int or a scalar;
            None: all.
    """

    def __init__(self, noise: RowNoise, num_samples: int, wanted: Any = None) -> None:
        super().__init__(noise.seed, noise.step, noise.first_row, noise.domain)
        self.num_samples = num_samples
        self.wanted = num_samples if wanted is None else wanted

    def _draw(
        self,
        op: Any,
        rows: Any,
        event_shape: Sequence[int],
        stream: str,
        dtype: tf.DType,
    ) -> tf.Tensor:
        examples = (rows + self.wanted - 1) // self.wanted
        shape = (self.num_samples, *event_shape)
        numbers = super()._draw(op, examples, shape, stream, dtype)
        order = [1, 0, *range(2, len(shape) + 1)]
        numbers = tf.transpose(numbers, order)
        return tf.reshape(numbers, [self.num_samples * examples, *event_shape])[:rows]


class GivenNoise:
    """Noise that comes from outside, in the place of what would be drawn.

    Inside `with given:` every draw takes the next columns: normal numbers those of
    `normal`, uniform ones those of `uniform`, in the order in which they are asked for.
    Without these tensors zeros are given and the columns counted, in `widths`.

    Args:
        normal: Standard normal numbers, float32 `(rows, n)`.
        uniform: Numbers uniform on [0, 1), float32 `(rows, m)`.
    """

    def __init__(
        self, normal: tf.Tensor | None = None, uniform: tf.Tensor | None = None
    ) -> None:
        self.widths = {"normal": 0, "uniform": 0}
        self._columns = {"normal": normal, "uniform": uniform}
        self._counts = normal is None and uniform is None

    def take(self, op: Any, rows: Any, event_shape: Sequence[int]) -> tf.Tensor:
        """Returns the numbers that a draw of `op` gets, `(rows, *event_shape)`."""
        kind = _KINDS[op]
        first = self.widths[kind]
        self.widths[kind] = last = first + math.prod(event_shape)
        if self._counts:
            return tf.zeros([rows, *event_shape])
        columns = self._columns[kind][:, first:last]  # type: ignore[index]
        return tf.reshape(columns, [rows, *event_shape])

    def __enter__(self) -> "GivenNoise":
        self._token = _injected.set(self)
        return self

    def __exit__(self, *error: object) -> None:
        _injected.reset(self._token)


_KINDS = {
    tf.raw_ops.StatelessRandomNormalV2: "normal",
    tf.raw_ops.StatelessRandomUniformV2: "uniform",
}
_injected: contextvars.ContextVar[GivenNoise | None] = contextvars.ContextVar(
    "keras_vae_given_noise", default=None
)
_current: contextvars.ContextVar[RowNoise | None] = contextvars.ContextVar(
    "keras_vae_noise", default=None
)


@contextlib.contextmanager
def noise_scope(noise: RowNoise) -> Iterator[None]:
    """Makes `noise` the one that layers called inside draw from (dropout, say).

    The scope belongs to the thread, so replicas that are traced side by side each have
    their own.
    """
    token = _current.set(noise)
    try:
        yield
    finally:
        _current.reset(token)


def current_noise() -> RowNoise | None:
    """Returns the noise of the innermost `noise_scope`, or None outside of any."""
    return _current.get()


@contextlib.contextmanager
def samples_scope(num_samples: int | None) -> Iterator[None]:
    """Inside, rows are those of the current scope so many times; see `SamplesNoise`."""
    noise = current_noise()
    if noise is None or num_samples is None or num_samples == 1:
        yield
        return
    with noise_scope(SamplesNoise(noise, num_samples)):
        yield
