"""Measures how fast this machine trains, generates and evaluates.

Examples:
    keras-vae benchmark
    keras-vae benchmark --parts training --batch_sizes 128
    keras-vae benchmark --device cpu
"""

from collections.abc import Sequence
from typing import Any

from keras_vae.cli import flags
from keras_vae.training import benchmark, quiet


def measure(given: dict[str, Any]) -> None:
    """Measures what the flags that were given ask for."""
    options = benchmark.BenchmarkOptions.resolve(given)
    with quiet.starting_tensorflow(options.device):  # imported at the end of this
        pass
    benchmark.run(options, say=print)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the program and returns its exit code."""
    return flags.run_main(measure, benchmark.BenchmarkOptions, __doc__, argv)
