"""Measures a finished run: likelihood, latents, samples; adds to its metrics.json.

python scripts/evaluate.py --run saved_models/digits-vae-z20
python scripts/evaluate.py --run saved_models/mnist-vae-z20 --num_importance_samples 500
python scripts/evaluate.py --run saved_models/mnist-vae-z20 --dataset fashion_mnist
"""

import dataclasses
import sys
from collections.abc import Sequence
from typing import Any

from keras_vae.training import flags, quiet
from keras_vae.training.options import Options, option


@dataclasses.dataclass(frozen=True)
class EvaluateOptions(Options):
    """What is measured."""

    run: str = option(
        help="folder of a finished run, as saved_models/digits-vae-z20",
        group="Evaluation",
    )
    dataset: str | None = option(
        None, "other data to measure on, a name or a path; the run's own if not given"
    )
    num_importance_samples: int = option(
        5000, "samples of z for each example", minimum=1, maximum=1_000_000
    )


def evaluate(given: dict[str, Any]) -> None:
    """Measures what the flags that were given ask for."""
    options = EvaluateOptions.resolve(given)
    # Late, because it starts TensorFlow: a bad flag is answered before that.
    with quiet.starting_tensorflow():
        from keras_vae.reporting import measure

    measure.evaluate_run(
        options.run, options.dataset, options.num_importance_samples, say=print
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the program and returns its exit code."""
    return flags.run_main(evaluate, EvaluateOptions, __doc__, argv)


if __name__ == "__main__":
    sys.exit(main())
