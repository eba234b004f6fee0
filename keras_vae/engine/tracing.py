"""Graphs that belong to one object, such as a model, and are made for each anew."""

import functools
from collections.abc import Callable
from typing import Any

import tensorflow as tf


def own_graph(function: Callable[..., Any]) -> Any:
    """Returns a `tf.function` of a function that is defined anew for each object.

    TensorFlow warns of retracing by how often the code of a function is traced, which
    a fifth model in one process would be, and its training beside its evaluation. A
    partial has no code of its own, so that each is counted alone.
    """
    return tf.function(functools.partial(function), reduce_retracing=True)
