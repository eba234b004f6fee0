"""What is promised of a model's numbers, and of the graphs that compute them."""

import contextlib
import functools
import itertools
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_vae.models.schedules import final_weights
from keras_vae.testing.candidate import (
    BATCH_SIZE,
    EPOCHS,
    MANY,
    Candidate,
    require_same,
)

_MOST_TRACES = 2  # a function is traced again where the size of batches changes


def elbo_of_batches(candidate: Candidate) -> None:
    """`reconstruction_loss + kl_loss` is the mean of -elbo for any size of batches."""
    model, n = candidate.untrained, MANY
    x, given = candidate.x(n), candidate.known(model, n)
    for y in [given, None] if model.infers_condition else [given]:
        elbo = model.elbo(x, model.num_samples, condition=y)
        expected = -np.mean(elbo, dtype=np.float64)
        for size in (1, 7, 64):
            found = model.evaluate(x, y, batch_size=size, verbose=0, return_dict=True)
            bound = found["reconstruction_loss"] + found["kl_loss"]
            what = f"in batches of {size}, reconstruction_loss + kl_loss"
            require_same(bound, expected, what, rtol=1e-5)


def sum_of_terms(candidate: Candidate) -> None:
    """The loss is reconstruction_loss + penalty_loss, or beta times kl_loss."""
    model = candidate.untrained
    found = candidate.evaluated(model)
    with final_weights():
        kl = float(model.beta_at(model.step)) * found.get("kl_loss", 0.0)
    regularized = [
        float(variable.regularizer(variable))
        for variable in model.trainable_variables
        if variable.regularizer is not None
    ]
    terms = [found["reconstruction_loss"], found.get("penalty_loss", kl), *regularized]
    require_same(found["loss"], sum(terms), "the loss")


def traces(candidate: Candidate) -> None:
    """Nothing is traced more than twice, whatever the sizes of batches.

    Neither are the steps where last batches are smaller, where `fit` is called again,
    and with validation data and callbacks.
    """
    model, sizes = candidate.model(), (1, 7, 64)
    known = {n: candidate.known(model, n) for n in sizes}
    x = {n: candidate.x(n) for n in sizes}
    z = {n: model.encode(x[n], known[n]) for n in sizes}
    with _graphs_of(model, "train_step") as training:
        with _graphs_of(model, "test_step") as evaluation:
            _fit_in_many_ways(candidate, model)
            for size in sizes:
                candidate.evaluated(model, MANY, size)
    _require_few("fit", training)
    _require_few("evaluate", evaluation)

    def each(method: Callable[..., Any], inputs: Mapping[int, Any]) -> None:
        for n, rows in inputs.items():
            method(rows, condition=known[n])

    actions: dict[str, tuple[str, Callable[..., Any], Mapping[int, Any]]] = {
        "posterior": ("encode_params", model.posterior, x),
        "reconstruct": ("generate", model.reconstruct, x),
        "decode": ("generate", model.decode, z),
        "elbo": ("generate", model.elbo, x),
    }
    for name, (traced, method, inputs) in actions.items():
        if name in candidate.excused:
            continue
        with _graphs_of(model, traced) as graphs:
            each(method, inputs)
        _require_few(name, graphs)


def _fit_in_many_ways(candidate: Candidate, model: Any) -> None:
    for number in (0, 1, 0):
        candidate.epoch(model, number)
    n = EPOCHS[1]
    model.fit(
        candidate.x(n),
        candidate.y(n),
        batch_size=BATCH_SIZE,
        epochs=2,
        verbose=0,
        validation_data=(candidate.x(MANY), candidate.y(MANY)),
        callbacks=[keras.callbacks.EarlyStopping(restore_best_weights=True)],
    )


def _require_few(name: str, graphs: Collection[Any]) -> None:
    if len(graphs) > _MOST_TRACES:
        raise AssertionError(
            f"{name} was traced {len(graphs)} times for batches of other sizes; "
            f"expected at most {_MOST_TRACES}. {_cause_of(graphs)}"
        )


def _cause_of(graphs: Collection[Any]) -> str:
    """Says which arguments were others at another trace."""
    given = []
    for graph in graphs:
        arguments, named = graph.structured_input_signature
        given.append([*arguments, *named.values()])
    causes = []
    for index, values in enumerate(itertools.zip_longest(*given), start=1):
        if any(value != values[0] for value in values):
            name = getattr(values[0], "name", None)
            which = f"argument `{name}`" if name else f"argument {index}"
            causes.append(f"Its {which} was {', then '.join(map(str, values))}.")
    return " ".join(causes) or (
        "Its arguments were the same: the function itself is made again."
    )


@contextlib.contextmanager
def _graphs_of(model: Any, name: str) -> Iterator[Collection[Any]]:
    """Gives the graphs in which a method is called: one a trace of what calls it."""
    method: Callable[..., Any] = getattr(model, name)
    graphs: dict[Any, None] = {}  # in the order of the traces

    @functools.wraps(method)
    def noted(*args: Any, **kwargs: Any) -> Any:
        if not tf.executing_eagerly():
            graph = tf.compat.v1.get_default_graph()
            while hasattr(getattr(graph, "outer_graph", None), "outer_graph"):
                graph = graph.outer_graph  # of the loop in it
            graphs[graph] = None
        return method(*args, **kwargs)

    setattr(model, name, noted)
    try:
        yield graphs
    finally:
        delattr(model, name)
