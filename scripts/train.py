"""Trains a model and leaves a folder with the model, its figures and its pictures.

Examples:
    python scripts/train.py --latent_dim 20
    python scripts/train.py --dataset mnist --binarize dynamic --preset best
    python scripts/train.py --dataset photos/ --encoder conv --epochs 50
    python scripts/train.py --workers a:2222,b:2222 --worker_index 0     # on host a
"""

import functools
import sys
from collections.abc import Sequence
from typing import Any

from keras_vae.training import flags, quiet
from keras_vae.training.config import TrainConfig

STOPPED = 1


def train(given: dict[str, Any]) -> int:
    """Trains with the flags that were given, by name; returns the exit code."""
    config = TrainConfig.resolve(given)
    # Late, because it starts TensorFlow: a bad flag is answered before that.
    with quiet.starting_tensorflow():
        from keras_vae.models.divergence import Diverged
        from keras_vae.models.workers import WorkerLost
        from keras_vae.training import run
        from keras_vae.training.rendezvous import WorkerMissing
    try:
        run.train(
            config, explicit=frozenset(given), say=functools.partial(print, flush=True)
        )
    except (Diverged, WorkerLost, WorkerMissing) as error:
        sys.stderr.write(f"train.py: {error}\n")
        return STOPPED
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the program and returns its exit code."""
    return flags.run_main(train, TrainConfig, __doc__, argv)


if __name__ == "__main__":
    sys.exit(main())
