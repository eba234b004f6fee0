"""Measures how fast this machine trains, generates and evaluates.

Examples:
    keras-vae benchmark
    keras-vae benchmark --parts training --batch_sizes 128
    keras-vae benchmark --device cpu
    keras-vae benchmark --out now.json --compare benchmark.json

With --compare it ends in exit code 1 where something has become slower.
"""

from collections.abc import Sequence
from typing import Any

from keras_vae.cli import flags
from keras_vae.measuring import benchmark, comparison
from keras_vae.measuring.options import BenchmarkOptions
from keras_vae.training import quiet


def measure(given: dict[str, Any]) -> None:
    """Measures what the flags that were given ask for."""
    options = BenchmarkOptions.resolve(given)
    earlier = comparison.read(options.compare) if options.compare else None
    with quiet.starting_tensorflow(options.device):  # imported at the end of this
        pass
    import tensorflow as tf

    # It takes many models, each with a function of its own, for one that is made anew.
    tf.get_logger().setLevel("ERROR")
    rows = benchmark.run(options, say=print)
    if earlier is None:
        return
    changes = comparison.compared(earlier, rows)
    for change in changes:
        print(comparison.line(change))
    slower = [each["what"] for each in changes if each["verdict"] == "slower"]
    if slower:
        raise flags.Stopped(f"Slower than in {options.compare}: {'; '.join(slower)}.")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the program and returns its exit code."""
    return flags.run_main(measure, BenchmarkOptions, __doc__, argv)
