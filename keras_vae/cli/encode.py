"""Writes the latents and the ELBO of every example as a table, a CSV file.

Examples:
    keras-vae encode --run runs/digits --out latents.csv
    keras-vae encode --run runs/digits --dataset suspects.npz
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

from keras_vae.cli import flags
from keras_vae.training import quiet, rules
from keras_vae.training.options import Options, option


@dataclasses.dataclass(frozen=True)
class EncodeOptions(Options):
    """What is encoded."""

    run: str = rules.run_option("Encoding")
    out: str | None = option(
        None, "the .csv file to write; latents.csv in the run's folder if not given"
    )
    split: str | None = option(
        None,
        "which examples; those that were not trained on if not given",
        choices=("train", "validation", "test"),
        alias="part",
    )
    dataset: str | None = option(
        None, "other data to encode, a name or a path; the run's own if not given"
    )
    num_samples: int = option(
        16, "samples of z for each example's ELBO", minimum=1, maximum=10_000
    )
    device: str = rules.device_option()


def encode(given: dict[str, Any]) -> None:
    """Encodes what the flags that were given ask for."""
    options = EncodeOptions.resolve(given)
    # Late, because it starts TensorFlow: a bad flag is answered before that.
    with quiet.starting_tensorflow(options.device):
        from keras_vae.reporting import measure

    measure.encode_run(
        options.run,
        options.out,
        options.split,
        options.dataset,
        options.num_samples,
        say=print,
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the program and returns its exit code."""
    return flags.run_main(encode, EncodeOptions, __doc__, argv)
