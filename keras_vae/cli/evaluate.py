"""Measures a finished run: likelihood, latents, samples; adds to its metrics.json.

Examples:
    keras-vae evaluate --run saved_models/digits-vae-z20
    keras-vae evaluate --run runs/best --num_importance_samples 500
    keras-vae evaluate --run runs/best --dataset fashion_mnist
    keras-vae evaluate --run runs/b --features runs/a/features.keras
    keras-vae evaluate --run runs/vamp --compare_with runs/plain
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

from keras_vae.cli import flags
from keras_vae.training import quiet, rules
from keras_vae.training.options import Options, option


@dataclasses.dataclass(frozen=True)
class EvaluateOptions(Options):
    """What is measured."""

    run: str = rules.run_option("Evaluation")
    dataset: str | None = option(
        None, "other data to measure on, a name or a path; the run's own if not given"
    )
    compare_with: str | None = option(
        None,
        "folder of another run of the same data: measures only what --run gains over "
        "it in nats, with the standard error paired by test example",
    )
    num_importance_samples: int = option(
        5000, "samples of z for each example", minimum=1, maximum=1_000_000
    )
    features: str | None = option(
        None,
        "a Keras model (.keras) or the folder of a SavedModel, in whose output samples "
        "are compared with data; if not given, a classifier of the training labels "
        "(kept as features.keras in the run's folder), without labels principal "
        "components",
    )
    device: str = rules.device_option()


def evaluate(given: dict[str, Any]) -> None:
    """Measures what the flags that were given ask for."""
    options = EvaluateOptions.resolve(given)
    if options.compare_with is not None and options.dataset is not None:
        raise ValueError(
            "--dataset does not go with --compare_with, which takes the data of the "
            "two runs: leave one of them out."
        )
    if options.compare_with is not None and options.features is not None:
        raise ValueError(
            "--features has no effect with --compare_with, which compares no samples: "
            "leave one of them out."
        )
    # Late, because it starts TensorFlow: a bad flag is answered before that.
    with quiet.starting_tensorflow(options.device):
        from keras_vae.engine import parallel
        from keras_vae.reporting import measure

    parallel.one_core_per_call()
    samples = options.num_importance_samples
    if options.compare_with is not None:
        measure.compare_runs(options.run, options.compare_with, samples, say=print)
    else:
        measure.evaluate_run(
            options.run, options.dataset, samples, print, options.features
        )


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the program and returns its exit code."""
    return flags.run_main(evaluate, EvaluateOptions, __doc__, argv)
