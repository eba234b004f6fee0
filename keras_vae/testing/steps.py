"""What is promised of steps: one way to run them trains the same model as another."""

import contextlib
import tempfile
from pathlib import Path

import keras
import numpy as np

from keras_vae.engine import strategies
from keras_vae.loading import load_model
from keras_vae.testing.subject import (
    MANY,
    Subject,
    require_finite,
    require_same,
    require_same_run,
    weights_of,
)


def steps_per_call(subject: Subject) -> None:
    """Several steps in a call train the same model as single ones."""
    found = subject.trained(steps_per_execution=3)
    require_same_run(found, subject.reference, "with three steps a call")


def microbatches(subject: Subject) -> None:
    """Microbatches make the update of the whole batch, or are refused.

    They are refused by an objective that needs the global batch.
    """
    if not subject.coupled:
        found = subject.trained(accumulate_steps=2)
        require_same_run(found, subject.reference, "in two microbatches")
        return
    with contextlib.suppress(ValueError):
        subject.model(accumulate_steps=2)
        raise AssertionError("it couples examples and does not refuse microbatches.")


def replicas(subject: Subject) -> None:
    """Two replicas train the same model as one, also where one of them gets nothing."""
    with strategies.mirrored(2).scope():
        found = subject.trained()
    require_same_run(found, subject.reference, "on two replicas")


def check_replicas() -> None:
    """Makes room for two replicas.

    Raises:
        ValueError: If it is too late for that.
    """
    try:
        strategies.logical_cpus(2)
    except ValueError as error:
        raise ValueError(
            "The clause 'replicas' needs two logical CPU devices, and TensorFlow is "
            "already running with fewer. Call check_model before anything else that "
            "uses TensorFlow, or leave the clause out with excused=['replicas']."
        ) from error


def eager(subject: Subject) -> None:
    """Steps that run eagerly train the same model as steps in a graph."""
    found = subject.trained(run_eagerly=True)
    require_same_run(found, subject.reference, "run eagerly")


def xla(subject: Subject) -> None:
    """XLA is refused, or its steps agree with those of a graph.

    Normal noise has other numbers under XLA, so the losses agree only up to the spread
    that samples of the posterior give them.
    """
    plain, n = subject.reference.model, MANY
    try:
        model = subject.model(jit_compile=True)
    except ValueError:
        return
    require_finite(subject.epoch(model, 0)["loss"], "under XLA, the loss in training")
    model.set_weights(plain.get_weights())
    found, expected = subject.evaluated(model, n, n), subject.evaluated(plain, n, n)
    spread = 0.0
    if "elbo" not in subject.excused:
        given = subject.known(plain, n)
        bounds = [plain.elbo(subject.x(n), 1, seed, given) for seed in range(8)]
        spread = float(np.std(np.mean(bounds, axis=1)))
    what = "under XLA, the loss"
    require_same(found["loss"], expected["loss"], what, atol=10 * spread)


def sample_weight(subject: Subject) -> None:
    """Examples of weight 0 count for nothing, those of weight 2 twice."""
    weight = np.array([2.0] * 4 + [0.0] * 4, np.float32)
    both = (subject.x(8), subject.y(8), weight), (subject.x(4), subject.y(4), None)
    names = ["reconstruction_loss", "kl_loss", *([] if subject.coupled else ["loss"])]
    found, moves = [], []
    for x, y, weights in both:
        model = subject.model()
        found.append(model.evaluate(x, y, 3, 0, weights, return_dict=True))
        if not subject.coupled:
            start = weights_of(model)
            model.train_on_batch(x, y, weights)
            moves.append([b - a for a, b in zip(start, weights_of(model), strict=True)])
    for name in [name for name in names if name in found[1]]:
        require_same(found[0][name], found[1][name], f"with weights 2 and 0, {name}")
    if subject.coupled:
        return
    weighted, plain = moves
    largest = max(np.abs(move).max(initial=0.0) for move in plain)
    for one, other in zip(weighted, plain, strict=True):
        what = "with weights 2 and 0, a step"
        require_same(one, other, what, atol=0.01 * float(largest))


def mixed_precision(subject: Subject) -> None:
    """Under "mixed_float16" it trains, and all that comes out is finite."""
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16")
    try:
        run = subject.trained()
        known = subject.known(run.model, 9)
        images = run.model.reconstruct(subject.x(9), known)
    finally:
        keras.config.set_dtype_policy(policy)
    for name, values in run.metrics.items():
        require_finite(values, f"in mixed precision, {name}")
    require_finite(images, "in mixed precision, a reconstruction")


def continuation(subject: Subject) -> None:
    """A model that was saved trains on as if it had never stopped."""
    model = subject.model()
    start, first = weights_of(model), subject.epoch(model, 0)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.keras"
        model.save(path)
        loaded = load_model(path, custom_objects={subject.kind.__name__: subject.kind})
    found = subject.ended(loaded, first, start)
    require_same_run(found, subject.reference, "saved and loaded in between", rtol=1e-6)
