"""Trains a model and leaves a folder with the model, its metrics and its plots.

Examples:
    keras-vae train --latent_dim 20
    keras-vae train --dataset mnist --binarize dynamic --preset best
    keras-vae train --dataset photos/ --encoder conv --epochs 50
    keras-vae train --workers a:2222,b:2222 --worker_index 0  # on a
"""

import functools
from collections.abc import Sequence
from typing import Any

from keras_vae.cli import flags
from keras_vae.training import quiet
from keras_vae.training.config import TrainConfig


def train(given: dict[str, Any]) -> None:
    """Trains with the flags that were given, by name."""
    config = TrainConfig.resolve(given)
    # Late, because it starts TensorFlow: a bad flag is answered before that.
    with quiet.starting_tensorflow():
        from keras_vae.engine.divergence import Diverged
        from keras_vae.engine.rendezvous import WorkerMissing
        from keras_vae.engine.workers import WorkerLost
        from keras_vae.training import run
    try:
        run.train(
            config, explicit=frozenset(given), say=functools.partial(print, flush=True)
        )
    except (Diverged, WorkerLost, WorkerMissing) as error:
        raise flags.Stopped(str(error)) from error


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the program and returns its exit code."""
    return flags.run_main(train, TrainConfig, __doc__, argv)
