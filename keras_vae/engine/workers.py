"""What the workers of one training job agree on.

Under a `tf.distribute.MultiWorkerMirroredStrategy` every worker runs the same program,
and all of them must come to the same collective operations in the same order. What a
worker decides by itself (how many steps a call has, whether it is time for a
checkpoint, whether a signal came) is therefore exchanged first. With one worker
nothing is exchanged.
"""

import contextlib
import functools
import json
import re
import socket
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import numpy as np
import tensorflow as tf

Value = TypeVar("Value")

_LONGEST = 4096  # bytes of a text that a worker sends to the others
_FAILED = "\0"  # its first character where an error's message follows; else it is JSON
_SECONDS_TO_ANSWER = 2.0  # of a worker that is asked whether it is there

_BROKEN = (
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
    tf.errors.FailedPreconditionError,
    tf.errors.InternalError,
)


class WorkerLost(RuntimeError):
    """Another worker of the job is gone, so this one cannot go on."""


def cluster(strategy: tf.distribute.Strategy) -> list[str]:
    """Returns the addresses of a strategy's workers, the chief's first.

    Empty where there is one process only.
    """
    resolver = strategy.cluster_resolver
    if resolver is None:
        return []
    jobs = resolver.cluster_spec().as_dict()
    workers = [*jobs.get("chief", []), *jobs.get("worker", [])]
    return workers if len(workers) > 1 else []


def index(strategy: tf.distribute.Strategy) -> int:
    """Returns which of `cluster(strategy)` this process is; 0 where there is one."""
    if not cluster(strategy):
        return 0
    resolver = strategy.cluster_resolver
    if resolver.task_type == "chief":
        return 0
    chiefs = len(resolver.cluster_spec().as_dict().get("chief", []))
    return chiefs + int(resolver.task_id)


def is_chief(strategy: tf.distribute.Strategy) -> bool:
    """Whether this process is the one that writes files: the only one, or the first."""
    return bool(strategy.extended.should_save_summary)  # TensorFlow's name for it


@contextlib.contextmanager
def watched(strategy: tf.distribute.Strategy) -> Iterator[None]:
    """Says which worker is gone where the workers' talk breaks down meanwhile.

    Raises:
        WorkerLost: In place of TensorFlow's error.
    """
    try:
        yield
    except _BROKEN as error:
        if not cluster(strategy):
            raise
        raise WorkerLost(_loss(strategy, error)) from error


def _loss(strategy: tf.distribute.Strategy, error: tf.errors.OpError) -> str:
    addresses, here = cluster(strategy), index(strategy)
    others = [number for number in range(len(addresses)) if number != here]
    gone = [number for number in others if not _answers(addresses[number])]
    if not gone:  # it may be up again already: ask the error
        named = {int(task) for task in re.findall(r"task:(\d+)", error.message)}
        gone = sorted(named.intersection(others))
    names = " and ".join(f"{number} ({addresses[number]})" for number in gone)
    lost = f"Worker {names} is gone" if gone else "The workers have lost one another"
    return (
        f"{lost}, so worker {here} has stopped. Start the same command on every worker "
        "again: the job continues from its last checkpoint."
    )


def _answers(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), _SECONDS_TO_ANSWER).close()
    except (OSError, ValueError):
        return False
    return True


def largest(strategy: tf.distribute.Strategy, values: Sequence[int]) -> list[int]:
    """Returns the largest that any worker gave, of each of some 32-bit integers.

    Called by all workers, with as many values.
    """
    if not cluster(strategy):
        return list(values)
    everyone = _exchanged(strategy, np.asarray(values, np.int32))
    return [int(value) for value in everyone.max(axis=0)]


def as_chief(strategy: tf.distribute.Strategy, act: Callable[[], Value]) -> Value:
    """Lets the chief act and returns what it returned, on all workers.

    Args:
        strategy: The job's.
        act: Called by the chief alone. It returns None or what else is the same once
            it was written as JSON, in at most 4,000 bytes.

    Raises:
        ValueError: On all workers, if `act` raised it or an `OSError`; on the chief it
            is the error itself.
    """
    if not cluster(strategy):
        return act()
    text, error = _attempted(act) if is_chief(strategy) else ("", None)
    of_chief = _texts_of_all(strategy, text)[0]
    if error is not None:
        raise error
    if of_chief.startswith(_FAILED):
        raise ValueError(of_chief.removeprefix(_FAILED))
    value: Value = json.loads(of_chief)
    return value


def together(strategy: tf.distribute.Strategy, act: Callable[[], Value]) -> list[Value]:
    """Lets every worker act and returns what each returned, in their order.

    Args:
        strategy: The job's.
        act: Called by all workers; returns what it does for `as_chief`. It comes to no
            operation that the workers do together.

    Raises:
        ValueError: On all workers, if `act` raised it or an `OSError` on one of them;
            there it is the error itself.
    """
    if not cluster(strategy):
        return [act()]
    text, error = _attempted(act)
    texts = _texts_of_all(strategy, text)
    if error is not None:
        raise error
    for worker, text in enumerate(texts):
        if text.startswith(_FAILED):
            raise ValueError(f"Worker {worker}: {text.removeprefix(_FAILED)}")
    return [json.loads(text) for text in texts]


def _attempted(act: Callable[[], Any]) -> tuple[str, ValueError | OSError | None]:
    """Returns the text that says what `act` returned or raised, and what it raised."""
    try:
        return json.dumps(act()), None
    except (ValueError, OSError) as error:
        return f"{_FAILED}{error}", error


def _texts_of_all(strategy: tf.distribute.Strategy, text: str) -> list[str]:
    """Returns the texts of all workers, in their order; called by all."""
    mine = np.zeros(_LONGEST, np.int32)
    encoded = np.frombuffer(text.encode()[: _LONGEST - 1], np.uint8)
    mine[: len(encoded)] = encoded
    mine[-1] = len(encoded)
    everyone = _exchanged(strategy, mine)
    local = len(everyone) // len(cluster(strategy))  # replicas of a worker
    return [
        codes[: codes[-1]].astype(np.uint8).tobytes().decode(errors="replace")
        for codes in everyone[::local]
    ]


def _exchanged(strategy: tf.distribute.Strategy, values: np.ndarray) -> np.ndarray:
    """Returns the values of every replica, in the order of the replicas."""
    results = _exchange_of(strategy)(tf.constant(values))
    everyone: np.ndarray = strategy.experimental_local_results(results)[0].numpy()
    return everyone


@functools.lru_cache(maxsize=1)
def _exchange_of(strategy: tf.distribute.Strategy) -> Callable[[tf.Tensor], Any]:
    def of_replica(mine: tf.Tensor) -> tf.Tensor:
        context = tf.distribute.get_replica_context()
        me, replicas = context.replica_id_in_sync_group, context.num_replicas_in_sync
        alone = tf.one_hot(me, replicas, dtype=tf.int32)[:, None] * mine
        return context.all_reduce(tf.distribute.ReduceOp.SUM, alone)

    shapes = [tf.TensorSpec([None], tf.int32)]
    return tf.function(
        lambda mine: strategy.run(of_replica, args=(mine,)), input_signature=shapes
    )
