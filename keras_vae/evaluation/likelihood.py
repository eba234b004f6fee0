"""How probable a model finds data: the ELBO in its terms, and log p(x) itself.

Everything is in nats for each example. Any model will do that has the methods of a
`VAE` (`encode_params`, `sample_posterior`, `decode_params`, `log_likelihood`, ...).
Examples are arrays `(n, *input_shape)`, uint8 and uint16 scaled to [0, 1], or an object
with `gather(rows)` that reads them from disk.
"""

import dataclasses
import functools
import math
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from keras_vae.engine import chunks, parallel
from keras_vae.errors import invalid_argument
from keras_vae.evaluation.examples import (
    all_on_grid,
    check_any,
    first_examples,
    is_binary,
)
from keras_vae.noise import Domain, RowNoise, as_tensor
from keras_vae.probability.likelihoods import (
    Bernoulli,
    ContinuousBernoulli,
    DiscretizedLogistic,
    Gaussian,
)

Progress = Callable[[int, int], None]
"""Called with how much is done, and of how much."""

SAMPLES_PER_BLOCK = 16
"""Importance samples that share a draw of noise. Another number is another draw."""


class ElboTerms(NamedTuple):
    """What -ELBO of each example is made of, in nats."""

    reconstruction_loss: np.ndarray
    """-E_q[log p(x|z)], (n,)."""
    kl_loss: np.ndarray
    """KL(q(z|x) || p(z)), (n,)."""
    kl_per_dimension: np.ndarray | None
    """The same by latent dimension, (n, latent_dim), where the prior factorises."""
    z_mean: np.ndarray
    """(n, latent_dim)"""
    z_log_var: np.ndarray
    """(n, latent_dim)"""

    @property
    def neg_elbo(self) -> np.ndarray:
        """-ELBO, (n,)."""
        return self.reconstruction_loss + self.kl_loss


def elbo_terms(
    model: Any, x: Any, condition: Any = None, num_samples: int | None = None
) -> ElboTerms:
    """Computes -ELBO of each example in its terms.

    Args:
        model: A `VAE` or a model with its methods.
        x: Examples.
        condition: For conditional models, one for each example.
        num_samples: Samples of the posterior for each example; None takes the model's
            own number, and with it the noise of its `evaluate`, so that the means are
            what `evaluate` gives.

    Returns:
        The terms, an array for each.
    """
    check_any(x)
    num_samples = num_samples or model.num_samples

    def terms(x: tf.Tensor, given: Any, first: tf.Tensor) -> Any:
        noise = RowNoise(model.seed, 0, first, Domain.EVALUATION)
        return tuple(model.bound_terms(x, given, noise, num_samples))

    reconstruction, kl, z_mean, z_log_var = chunks.over_examples(
        model,
        f"terms of {num_samples}",
        terms,
        x,
        condition,
        num_samples=num_samples,
        bound=True,
    )
    by_dimension = kl if kl.ndim == 2 else None
    kl = kl.sum(axis=1) if kl.ndim == 2 else kl
    return ElboTerms(reconstruction, kl, by_dimension, z_mean, z_log_var)


@dataclasses.dataclass(frozen=True)
class LogProbability:
    """log p(x) of each example, as `importance_weighted_nll` estimates it.

    Attributes:
        log_prob: The log of the mean importance weight, (n,), in nats. It is too low by
            about half of `variance` (Burda et al. 2015: a lower bound in expectation).
        variance: Of that estimate over draws of the samples, (n,): that of the mean
            weight divided by its square (the delta method). NaN with one sample.
        num_samples: How many samples each example had.
    """

    log_prob: np.ndarray
    variance: np.ndarray
    num_samples: int

    @property
    def nll(self) -> float:
        """The mean of -log p(x) over the examples."""
        return float(-np.mean(self.log_prob))

    @property
    def standard_error(self) -> float:
        """Of `nll` for these examples: what other samples of z would change."""
        return float(np.sqrt(np.sum(self.variance)) / len(self.variance))

    @property
    def standard_error_over_examples(self) -> float:
        """Of `nll` for the population that the examples are drawn from."""
        n = len(self.log_prob)
        return (
            float(np.std(self.log_prob, ddof=1) / math.sqrt(n)) if n > 1 else math.nan
        )

    @property
    def effective_samples(self) -> np.ndarray:
        """Equal weights that would give the same variance, (n,); Kish 1965."""
        k = self.num_samples
        return np.asarray(k / (1.0 + (k - 1) * self.variance))


def importance_weighted_nll(
    model: Any,
    x: Any,
    num_samples: int = 5000,
    *,
    seed: int | None = None,
    condition: Any = None,
    active: np.ndarray | None = None,
    progress: Progress | None = None,
    progress_every: float = 2.0,
) -> LogProbability:
    """Estimates log p(x) = log E_q[p(x|z) p(z) / q(z|x)] of each example.

    Burda et al. 2015, equation 8. Samples are weighed in blocks and their weights added
    up in logs and float64, so that memory does not grow with their number, and the
    result does not depend on how the work is cut up: the noise of a sample depends on
    the seed, the number of its block and its example's index alone.

    Args:
        model: A `VAE` or a model with its methods, whose posterior is a density.
        x: Examples.
        num_samples: Samples of the posterior for each example.
        seed: Of the noise; None takes the model's.
        condition: For conditional models, one for each example.
        active: (latent_dim,) bool: which latent dimensions to keep. The others are
            removed from the model: they are 0, the prior's mean, for the decoder, and
            neither p(z) nor q(z|x) has them. Only under a standard normal prior, where
            what is left is a model of fewer dimensions (Burda et al. 2015, section
            5.2).
        progress: Called with the samples that are done, over all examples; in the
            thread that made the last of them, by one thread at a time.
        progress_every: Seconds between two calls of `progress`, about; at least what
            the samples of a block take.

    Returns:
        The estimate and its variance.

    Raises:
        ValueError: If `num_samples` is below 1, or the model cannot be measured so.
    """
    model.ensure_built()
    check_any(x)
    if num_samples < 1:
        raise invalid_argument("num_samples", "at least 1", num_samples)
    _check_measurable(model, active)
    update = _update_of(model, active)
    key = as_tensor(model.seed if seed is None else seed)
    pace = _Pace(progress_every)
    done = _Done(len(x) * num_samples, progress, progress_every)

    def sums_of(part: chunks.Chunk) -> list[np.ndarray]:
        first = tf.constant(part.first)
        add = functools.partial(update, part.x, part.condition, key, first)
        rows = len(part.x)
        for more, latest in _running_sums(add, rows, num_samples, pace):
            sums = latest
            done.add(rows * more)
        return sums

    parts = chunks.examples(
        model, x, condition, num_samples=SAMPLES_PER_BLOCK, bound=True
    )
    with done:
        found = list(parallel.mapped(sums_of, parts))
    log_sum, log_squares = (np.concatenate(part) for part in zip(*found, strict=True))
    return _log_mean(log_sum, log_squares, num_samples)


def _log_mean(log_sum: np.ndarray, log_squares: np.ndarray, k: int) -> LogProbability:
    """Returns the log of the mean of k weights, of the logs of their sums."""
    with np.errstate(divide="ignore", invalid="ignore"):
        spread = k * np.exp(log_squares - 2.0 * log_sum) - 1.0
        variance = np.maximum(spread, 0.0) / np.float64(k - 1)
    return LogProbability(log_sum - math.log(k), variance, k)


class _Done:
    """Adds up, over threads, what is done, and has them stop where one of them fails.

    That is where `progress` raises, or where the work has ended before they have.
    """

    def __init__(self, total: int, progress: Progress | None, every: float) -> None:
        self._total, self._progress, self._every = total, progress, every
        self._sum, self._reported = 0, time.perf_counter()
        self._error: BaseException | None = None
        self._lock = threading.Lock()

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._error = self._error or RuntimeError("The work ended before.")

    def add(self, samples: int) -> None:
        """Reports so many more samples; raises what ended the work."""
        with self._lock:
            if self._error is not None:
                raise self._error
            self._sum += samples
            try:
                self._report()
            except BaseException as error:
                self._error = error
                raise

    def _report(self) -> None:
        now = time.perf_counter()
        # The calls of one thread alone grow to half of that, and each is reported.
        due = now - self._reported >= 0.5 * self._every
        if self._progress is not None and (due or self._sum == self._total):
            self._reported = now
            self._progress(self._sum, self._total)


@dataclasses.dataclass
class _Pace:
    """How much a call does: one block at first, then two, and so on until it lasts.

    What is found of x once for all its samples is found once a call.
    """

    seconds: float
    """Between two reports of progress, about."""
    blocks: int = 1
    """Of samples, in the next call."""

    def took(self, blocks: int, seconds: float) -> None:
        """Sets `blocks` by how long a call took."""
        if blocks == self.blocks and seconds < 0.5 * self.seconds:
            self.blocks *= 2


def _running_sums(
    add: Callable[..., tuple[tf.Tensor, ...]],
    rows: int,
    num_samples: int,
    pace: _Pace,
) -> Iterator[tuple[int, list[np.ndarray]]]:
    """Yields how many samples came in and the sums so far, at a pace."""
    nothing = tf.fill([rows], tf.constant(-np.inf, tf.float64))
    state: tuple[tf.Tensor, ...] = (nothing, nothing)
    blocks = -(-num_samples // SAMPLES_PER_BLOCK)
    block = 0
    while block < blocks:
        began, last = time.perf_counter(), min(block + pace.blocks, blocks)
        state = add(*(tf.constant(n) for n in (block, last, num_samples)), *state)
        sums = [part.numpy() for part in state]  # waits for the device
        pace.took(last - block, time.perf_counter() - began)
        made = min(last * SAMPLES_PER_BLOCK, num_samples) - block * SAMPLES_PER_BLOCK
        block = last
        yield made, sums


def _update_of(
    model: Any, active: np.ndarray | None
) -> Callable[..., tuple[tf.Tensor, ...]]:
    """Returns the graph that adds the weights of some blocks to their running sums."""
    mask = None if active is None else tf.constant(active, tf.float32)

    def update(
        x: tf.Tensor,
        given: Any,
        key: tf.Tensor,
        first: tf.Tensor,
        block: tf.Tensor,
        last: tf.Tensor,
        num_samples: tf.Tensor,
        log_sum: tf.Tensor,
        log_squares: tf.Tensor,
    ) -> tuple[tf.Tensor, ...]:
        weigh = (
            model.log_weights(x, given)
            if mask is None
            else _weights_without_some(model, x, given, mask)
        )

        def add(block: tf.Tensor, *state: tf.Tensor) -> tuple[tf.Tensor, ...]:
            noise = RowNoise(key, block, first, Domain.IMPORTANCE)
            left = tf.minimum(
                SAMPLES_PER_BLOCK, num_samples - block * SAMPLES_PER_BLOCK
            )
            log_weight = weigh(noise, SAMPLES_PER_BLOCK, left)
            return (
                block + 1,
                _added(state[0], log_weight),
                _added(state[1], 2.0 * log_weight),
            )

        start = (block, log_sum, log_squares)
        with model.prior.fixed(model.encode_params):  # once, not for each block
            end = tf.while_loop(
                lambda block, *_: block < last, add, start, parallel_iterations=1
            )
        return end[1:]

    graph_key = f"importance {None if active is None else active.tolist()}"
    key, number = (tf.TensorSpec(shape, tf.int32) for shape in ([2], []))
    sums = [tf.TensorSpec([None], tf.float64)] * 2
    return chunks.graph(model, graph_key, update, key, *[number] * 4, *sums)


def _weights_without_some(
    model: Any, x: tf.Tensor, given: Any, mask: tf.Tensor
) -> Callable[[RowNoise, int, Any], tf.Tensor]:
    """Returns what draws log weights of the model that has only some dimensions."""
    z_mean, z_log_var = model.encode_params(x, given)

    def weigh(noise: RowNoise, num_samples: int, wanted: Any) -> tf.Tensor:
        latent = model.sample_latent(z_mean, z_log_var, noise, given, num_samples)
        latent = latent.first(wanted)
        # Both densities are normal, and their constants cancel.
        standard = tf.square(latent.z - z_mean) * tf.exp(-z_log_var)
        ratio = 0.5 * (standard + z_log_var - tf.square(latent.z))
        log_prob = model.log_likelihood(
            x, model.decode_params(latent.z * mask, given), given
        )
        log_ratio = tf.reduce_sum(ratio * mask, axis=-1)
        return tf.cast(log_prob, tf.float64) + tf.cast(log_ratio, tf.float64)

    return weigh


def _added(log_total: tf.Tensor, log_terms: tf.Tensor) -> tf.Tensor:
    """Adds `(k, n)` terms to totals `(n,)`, all as logs."""
    stacked = tf.concat([log_total[tf.newaxis], log_terms], axis=0)
    return tf.reduce_logsumexp(stacked, axis=0)


def _check_measurable(model: Any, active: Any) -> None:
    if not model.has_kl:
        raise invalid_argument(
            "model",
            "one whose posterior is a density",
            received=f"{type(model).__name__}, whose z is a function of x",
            advice="log p(x) cannot be estimated from it.",
        )
    if active is not None and not can_leave_out(model):
        raise invalid_argument(
            "active",
            f"None for {type(model).__name__} with the prior "
            f"{type(model.prior).__name__}, posterior {model.posterior_family}",
            received="dimensions to leave out",
            advice="That is possible only of one z with a normal posterior and a "
            "standard normal prior.",
        )


def can_leave_out(model: Any) -> bool:
    """Whether latent dimensions can be removed from a model: see `active` above."""
    whole = model.infers_condition or getattr(model, "flow", None) is not None
    return bool(model.has_standard_prior) and not whole


def bits_per_dimension(
    model: Any, x: Any, nll: float, condition: Any = None
) -> float | None:
    """Returns an NLL as bits for each number of x, where that is a length of code.

    So it does with -ELBO, which bounds the NLL. It is where the numbers can take few
    values, so that x has a probability:

    - under `DiscretizedLogistic` and the mixture of them, and under `Bernoulli` if all
      of x is 0 or 1, the likelihood is a probability and the bits are NLL / (D log 2);
    - under the densities, if x is images of 256 grey levels, the probability of a level
      is taken to be its density times the distance 1/255 between two, which adds log2
      255 = 7.99 bits. These add up to 1 within 3 % where the scale is at least half
      the distance, as it is for images unless a smaller one was given.

    Anything else has no such number: grey values under `Bernoulli` are no outcomes of
    it, the NLL of measurements depends on their unit, and where a region of x is given
    the NLL is that of the rest.

    Args:
        model: A `VAE` or a model with its methods.
        x: The examples.
        nll: The NLL or -ELBO of these examples, in nats.
        condition: For conditional models, one for each example.
    """
    if len(model.data_shape) != 3:
        return None
    first = next(chunks.examples(model, *first_examples(x, condition, 1)))
    if model.likelihood_weight(first.condition) is not None:
        return None
    bits = nll / (math.prod(model.data_shape) * math.log(2.0))
    likelihood = model.likelihood
    if isinstance(likelihood, DiscretizedLogistic):
        return bits
    if isinstance(likelihood, Bernoulli):
        return bits if is_binary(x) else None
    if isinstance(likelihood, Gaussian):
        wide = likelihood.smallest_scale >= 1.0 / 510.0
    else:
        wide = isinstance(likelihood, ContinuousBernoulli)
    return bits + math.log2(255.0) if wide and all_on_grid(x, 255) else None
