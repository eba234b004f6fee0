r"""Draws the plots of a finished run into its images/.

Examples:
    keras-vae visualize --run saved_models/digits-vae-z20
    keras-vae visualize --run saved_models/mnist-vae-z2 --format pdf \
        --plots manifold,arrow --from_label 0 --to_label 7
"""

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any

from keras_vae.cli import flags
from keras_vae.reporting.catalogue import PLOTS
from keras_vae.training import quiet, rules
from keras_vae.training.options import Options, option


@dataclasses.dataclass(frozen=True)
class VisualizeOptions(Options):
    """What is drawn."""

    run: str = rules.run_option("Plots")
    plots: tuple[str, ...] = option(
        ("all",),
        "what to draw, separated by commas",
        choices={"all": "all of these", **PLOTS},
        alias="figures",
    )
    format: str = option(
        "png", "of pictures that do not move", choices=("png", "svg", "pdf")
    )
    from_label: str | None = option(
        None, "class where arrow and interpolation start; 0, or the first there is"
    )
    to_label: str | None = option(None, "class where they end; 7, or the last there is")
    device: str = rules.device_option()


def visualize(given: dict[str, Any]) -> None:
    """Draws with the flags that were given, by name."""
    options = VisualizeOptions.resolve(given)
    # Late, because it starts TensorFlow: a bad flag is answered before that.
    with quiet.starting_tensorflow(options.device):
        from keras_vae.reporting import plots

    plots.visualize(
        options.run,
        options.plots,
        options.format,
        options.from_label,
        options.to_label,
        say=functools.partial(print, flush=True),
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the program and returns its exit code."""
    return flags.run_main(visualize, VisualizeOptions, __doc__, argv)
