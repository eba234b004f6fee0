"""Checks that a device trains the same models as the CPU, and measures how fast.

Examples:
    keras-vae check --device gpu
    keras-vae check --architectures mlp --images 256 --epochs 1

A table is printed and written as JSON: losses and weights beside the CPU's, one
device beside several, with XLA and in mixed precision, saved and loaded
between, exported, and images a second. Where a tolerance is missed it ends in
exit code 1.
"""

from collections.abc import Sequence
from typing import Any

from keras_vae.cli import flags
from keras_vae.measuring import device_check
from keras_vae.training import quiet


def check(given: dict[str, Any]) -> None:
    """Checks what the flags that were given ask for."""
    options = device_check.CheckOptions.resolve(given)
    with quiet.starting_tensorflow(options.device):  # imported at the end of this
        pass
    import tensorflow as tf

    # It takes many models, each with a function of its own, for one that is made anew.
    tf.get_logger().setLevel("ERROR")
    missed = device_check.missed(device_check.run(options, say=print))
    if missed:
        raise flags.Stopped(f"Not as on the CPU: {'; '.join(missed)}.")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the program and returns its exit code."""
    return flags.run_main(check, device_check.CheckOptions, __doc__, argv)
