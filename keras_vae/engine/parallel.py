"""Calls of graphs side by side, each on a core of its own.

An operation on a chunk that stays in the caches is so short that two threads of it lose
a sixth of their time waiting for one another; two chunks at once do not.
"""

import collections
import contextlib
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import tensorflow as tf

Item = TypeVar("Item")
Result = TypeVar("Result")


_asked_for = False  # by `one_core_per_call`, for the whole process as TensorFlow's is


def one_core_per_call() -> None:
    """Has operations compute on one core, so that `mapped` runs calls side by side.

    For a program that measures and does not train. Nothing changes where TensorFlow has
    computed something already, whose threads are then there, and where there is a GPU.
    """
    global _asked_for
    if not tf.config.get_visible_devices("GPU"):
        with contextlib.suppress(RuntimeError):
            tf.config.threading.set_intra_op_parallelism_threads(1)
            _asked_for = True


def calls_at_once() -> int:
    """Returns how many calls `mapped` runs at once.

    As many as there are cores after `one_core_per_call`, else 1.
    """
    return cores() if _asked_for else 1


def cores() -> int:
    """Returns how many cores of the machine this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def mapped(
    function: Callable[[Item], Result], items: Iterable[Item]
) -> Iterator[Result]:
    """Yields what a function gives for each item, in order.

    `calls_at_once()` items are worked on at once, in threads; the iterable is gone
    through in the thread that asks, one item further ahead.

    Args:
        function: Of an item. What it raises is raised here; no further items are begun
            then, and nobody waits for those that are.
        items: What it is called with.
    """
    at_once = calls_at_once()
    if at_once == 1:
        for item in items:
            yield function(item)
        return
    pool = ThreadPoolExecutor(at_once)
    begun: collections.deque[Future[Result]] = collections.deque()
    try:
        for item in items:
            begun.append(pool.submit(function, item))
            if len(begun) > at_once:
                yield begun.popleft().result()
        while begun:
            yield begun.popleft().result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
