"""Keeps one class at a time from training and lets the model find it when tested.

Examples:
    keras-vae anomaly --dataset digits --epochs 50
    keras-vae anomaly --dataset mnist --binarize dynamic --epochs 20
"""

from collections.abc import Sequence
from typing import Any

from keras_vae.cli import flags
from keras_vae.training import leave_out, quiet
from keras_vae.training.leave_out import LeaveOutOptions


def find(given: dict[str, Any]) -> None:
    """Trains and scores as the flags that were given say."""
    options = LeaveOutOptions.resolve(given)
    # Late, because it starts TensorFlow: a bad flag is answered before that.
    with quiet.starting_tensorflow(options.device):
        from keras_vae.engine.divergence import Diverged

    try:
        leave_out.leave_out(options, say=print)
    except Diverged as error:
        raise flags.Stopped(str(error)) from error


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the program and returns its exit code."""
    return flags.run_main(find, LeaveOutOptions, __doc__, argv)
