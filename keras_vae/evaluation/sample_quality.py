"""How good the samples of a model are, beside examples that it was not trained on."""

import os
from typing import Any

import numpy as np

from keras_vae.data.datasets import Split
from keras_vae.evaluation import features, samples
from keras_vae.evaluation.examples import first_in_unit
from keras_vae.evaluation.samplers import real_and_generated

MIN_EXAMPLES = 50
"""Fewer examples say nothing of samples: balls around them cover everything."""

_SEED = 0


def sample_metrics(
    model: Any,
    train: Split,
    test: Split,
    condition: Any = None,
    chosen: features.Features | None = None,
    folder: str | os.PathLike[str] | None = None,
    pair: tuple[np.ndarray, np.ndarray] | None = None,
) -> dict[str, Any]:
    """Compares samples with test examples, and both with training examples.

    Up to 2,000 of each, see `samplers.real_and_generated`. Whether samples are nearer
    to training examples is asked of the data themselves, standardised where the model
    does, so that nothing that was learned from the training examples has a say.

    Args:
        model: A `VAE` or a model with its methods.
        train: Training examples.
        test: The examples to compare with, `train` itself where there are no others.
        condition: For conditional models, one for each test example.
        chosen: The features to compare in; None: see `features.choose`.
        folder: Of the run, where features are kept.
        pair: What `real_and_generated` returned of the test examples; None generates.

    Returns:
        `sample_features`, what is compared; `sample_precision`, `sample_recall`,
        `sample_density`, `sample_coverage`, `sample_kernel_distance` and its
        `_standard_error`; and unless there is but one split
        `samples_nearer_to_training`, a share, with
        `samples_nearer_to_training_by_chance`. Where there is no comparison, only
        `samples_left_out`, which says why.
    """
    if len(test) < MIN_EXAMPLES:
        return {
            "samples_left_out": f"{len(test)} examples, at least {MIN_EXAMPLES} needed"
        }
    if not model.has_kl and model.aggregate is None:
        return {"samples_left_out": "the model has nothing to sample from"}
    real, generated = pair or real_and_generated(model, test.x, condition)
    if not np.isfinite(generated).all():
        return {"samples_left_out": "samples are not finite"}
    chosen = chosen or features.choose(train, folder)
    pair = chosen.of(real), chosen.of(generated)
    precision, recall = samples.precision_recall(*pair)
    density, coverage = samples.density_coverage(*pair)
    distance = samples.kernel_distance(*pair)
    metrics: dict[str, Any] = {
        "sample_features": chosen.name,
        "sample_precision": precision,
        "sample_recall": recall,
        "sample_density": density,
        "sample_coverage": coverage,
        "sample_kernel_distance": distance.value,
        "sample_kernel_distance_standard_error": distance.standard_error,
    }
    if test is not train:
        metrics |= _nearer_to_training(model, train, real, generated)
    return metrics


def _nearer_to_training(
    model: Any, train: Split, held_out: np.ndarray, generated: np.ndarray
) -> dict[str, float]:
    """Asks it of as many training examples as held-out ones, chosen at random."""
    count = min(len(train), len(held_out))
    if count < MIN_EXAMPLES:
        return {}
    rng = np.random.default_rng(_SEED)
    known = train.take(np.sort(rng.choice(len(train), count, replace=False)))
    others = held_out[np.sort(rng.choice(len(held_out), count, replace=False))]
    compared = generated, first_in_unit(known.x, count), others
    share = samples.nearer_to_training(
        *(np.asarray(model.to_model(x)) for x in compared)
    )
    return {
        "samples_nearer_to_training": share,
        "samples_nearer_to_training_by_chance": 0.5,
    }
