"""Trains a model and leaves a folder with the model, its figures and its pictures.

Examples:
    python scripts/train.py --latent_dim 20
    python scripts/train.py --dataset mnist --binarize dynamic --preset best
    python scripts/train.py --dataset photos/ --encoder conv --epochs 50
"""

import sys
from collections.abc import Sequence
from typing import Any

from keras_vae.training import flags
from keras_vae.training.config import TrainConfig


def train(given: dict[str, Any]) -> None:
    """Trains with the flags that were given, by name."""
    config = TrainConfig.resolve(given)
    # Late, because it starts TensorFlow: a bad flag is answered before that.
    from keras_vae.training import run

    run.train(config, explicit=frozenset(given), say=print)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the program and returns its exit code."""
    return flags.run_main(train, TrainConfig, __doc__, argv)


if __name__ == "__main__":
    sys.exit(main())
