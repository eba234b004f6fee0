"""What is promised of a model's numbers, and of the graphs that compute them."""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from keras_vae.models.schedules import final_weights
from keras_vae.testing.subject import MANY, Subject, require_same

_MOST_TRACES = 2  # a function is traced again where the size of batches changes


def elbo_of_batches(subject: Subject) -> None:
    """`reconstruction_loss + kl_loss` is the mean of -elbo for any size of batches."""
    model, n = subject.untrained, MANY
    x, given = subject.x(n), subject.known(model, n)
    for y in [given, None] if model.infers_condition else [given]:
        elbo = model.elbo(x, model.num_samples, condition=y)
        expected = -np.mean(elbo, dtype=np.float64)
        for size in (1, 7, 64):
            found = model.evaluate(x, y, batch_size=size, verbose=0, return_dict=True)
            bound = found["reconstruction_loss"] + found["kl_loss"]
            what = f"in batches of {size}, reconstruction_loss + kl_loss"
            require_same(bound, expected, what, rtol=1e-5)


def sum_of_terms(subject: Subject) -> None:
    """The loss is reconstruction_loss + penalty_loss, or beta times kl_loss."""
    model = subject.untrained
    found = subject.evaluated(model)
    with final_weights():
        kl = float(model.beta_at(model.step)) * found.get("kl_loss", 0.0)
    regularized = [
        float(variable.regularizer(variable))
        for variable in model.trainable_variables
        if variable.regularizer is not None
    ]
    terms = [found["reconstruction_loss"], found.get("penalty_loss", kl), *regularized]
    require_same(found["loss"], sum(terms), "the loss")


def traces(subject: Subject) -> None:
    """Nothing is traced more than twice, whatever the sizes of batches."""
    model, sizes = subject.model(), (1, 7, 64)
    known = {n: subject.known(model, n) for n in sizes}
    x = {n: subject.x(n) for n in sizes}
    z = {n: model.encode(x[n], known[n]) for n in sizes}

    def each(method: Callable[..., Any], inputs: Mapping[int, Any]) -> None:
        for n, rows in inputs.items():
            method(rows, condition=known[n])

    actions: dict[str, tuple[str, Callable[[], Any]]] = {
        "fit": ("train_step", lambda: [subject.epoch(model, k) for k in (0, 1, 0)]),
        "evaluate": (
            "test_step",
            lambda: [subject.evaluated(model, MANY, size) for size in sizes],
        ),
        "posterior": ("encode_params", lambda: each(model.posterior, x)),
        "reconstruct": ("generate", lambda: each(model.reconstruct, x)),
        "decode": ("generate", lambda: each(model.decode, z)),
        "elbo": ("generate", lambda: each(model.elbo, x)),
    }
    for name, (traced, act) in actions.items():
        if name in subject.excused:
            continue
        with _graphs_of(model, traced) as graphs:
            act()
        if len(graphs) > _MOST_TRACES:
            raise AssertionError(
                f"{name} was traced {len(graphs)} times for batches of other sizes; "
                f"expected at most {_MOST_TRACES}."
            )


@contextlib.contextmanager
def _graphs_of(model: Any, name: str) -> Iterator[set[Any]]:
    """Gives the graphs in which a method is called: one a trace of what calls it."""
    method: Callable[..., Any] = getattr(model, name)
    graphs: set[Any] = set()

    def noted(*args: Any, **kwargs: Any) -> Any:
        if not tf.executing_eagerly():
            graph = tf.compat.v1.get_default_graph()
            while hasattr(getattr(graph, "outer_graph", None), "outer_graph"):
                graph = graph.outer_graph  # of the loop in it
            graphs.add(graph)
        return method(*args, **kwargs)

    setattr(model, name, noted)
    try:
        yield graphs
    finally:
        delattr(model, name)
