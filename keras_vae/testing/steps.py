"""What is promised of steps: one way to run them trains the same model as another."""

import contextlib
import tempfile
from pathlib import Path

import keras
import numpy as np

from keras_vae.engine import strategies
from keras_vae.loading import load_model
from keras_vae.testing.candidate import (
    MANY,
    Candidate,
    require_finite,
    require_same,
    require_same_run,
    weights_of,
)


def steps_per_call(candidate: Candidate) -> None:
    """Several steps in a call train the same model as single ones."""
    found = candidate.trained(steps_per_execution=3)
    require_same_run(found, candidate.reference, "with three steps a call")


def microbatches(candidate: Candidate) -> None:
    """Microbatches make the update of the whole batch, or are refused.

    They are refused by an objective that needs the global batch.
    """
    if not candidate.coupled:
        found = candidate.trained(accumulate_steps=2)
        require_same_run(found, candidate.reference, "in two microbatches")
        return
    with contextlib.suppress(ValueError):
        candidate.model(accumulate_steps=2)
        raise AssertionError("it couples examples and does not refuse microbatches.")


def replicas(candidate: Candidate) -> None:
    """Two replicas train the same model as one, also where one of them gets nothing."""
    with strategies.mirrored(2).scope():
        found = candidate.trained()
    require_same_run(found, candidate.reference, "on two replicas")


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


def eager(candidate: Candidate) -> None:
    """Steps that run eagerly train the same model as steps in a graph."""
    found = candidate.trained(run_eagerly=True)
    require_same_run(found, candidate.reference, "run eagerly")


def xla(candidate: Candidate) -> None:
    """XLA is refused, or its steps agree with those of a graph.

    Normal noise has other numbers under XLA, so the losses agree only up to the spread
    that samples of the posterior give them.
    """
    plain, n = candidate.reference.model, MANY
    try:
        model = candidate.model(jit_compile=True)
    except ValueError:
        return
    require_finite(candidate.epoch(model, 0)["loss"], "under XLA, the loss in training")
    model.set_weights(plain.get_weights())
    found, expected = candidate.evaluated(model, n, n), candidate.evaluated(plain, n, n)
    spread = 0.0
    if "elbo" not in candidate.excused:
        given = candidate.known(plain, n)
        bounds = [plain.elbo(candidate.x(n), 1, seed, given) for seed in range(8)]
        spread = float(np.std(np.mean(bounds, axis=1)))
    what = "under XLA, the loss"
    require_same(found["loss"], expected["loss"], what, atol=10 * spread)


def sample_weight(candidate: Candidate) -> None:
    """Examples of weight 0 count for nothing, those of weight 2 twice."""
    weight = np.array([2.0] * 4 + [0.0] * 4, np.float32)
    both = (
        (candidate.x(8), candidate.y(8), weight),
        (candidate.x(4), candidate.y(4), None),
    )
    names = ["reconstruction_loss", "kl_loss", *([] if candidate.coupled else ["loss"])]
    found, moves = [], []
    for x, y, weights in both:
        model = candidate.model()
        found.append(model.evaluate(x, y, 3, 0, weights, return_dict=True))
        if not candidate.coupled:
            start = weights_of(model)
            model.train_on_batch(x, y, weights)
            moves.append([b - a for a, b in zip(start, weights_of(model), strict=True)])
    for name in [name for name in names if name in found[1]]:
        require_same(found[0][name], found[1][name], f"with weights 2 and 0, {name}")
    if candidate.coupled:
        return
    weighted, plain = moves
    largest = max(np.abs(move).max(initial=0.0) for move in plain)
    for one, other in zip(weighted, plain, strict=True):
        what = "with weights 2 and 0, a step"
        require_same(one, other, what, atol=0.01 * float(largest))


def mixed_precision(candidate: Candidate) -> None:
    """Under "mixed_float16" it trains, and all that comes out is finite."""
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16")
    try:
        run = candidate.trained()
        known = candidate.known(run.model, 9)
        images = run.model.reconstruct(candidate.x(9), known)
    finally:
        keras.config.set_dtype_policy(policy)
    for name, values in run.metrics.items():
        require_finite(values, f"in mixed precision, {name}")
    require_finite(images, "in mixed precision, a reconstruction")


def continuation(candidate: Candidate) -> None:
    """A model that was saved trains on as if it had never stopped."""
    model = candidate.model()
    start, first = weights_of(model), candidate.epoch(model, 0)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.keras"
        model.save(path)
        loaded = load_model(
            path, custom_objects={candidate.kind.__name__: candidate.kind}
        )
    found = candidate.ended(loaded, first, start)
    require_same_run(
        found, candidate.reference, "saved and loaded in between", rtol=1e-6
    )
