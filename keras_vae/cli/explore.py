"""Opens a page in the browser to move about the latent space of a finished run.

Examples:
    keras-vae explore --run saved_models/digits-vae-z20
    keras-vae explore --run runs/mnist --port 8080 --noopen
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

from keras_vae.cli import flags
from keras_vae.training import quiet, rules
from keras_vae.training.options import Options, option


@dataclasses.dataclass(frozen=True)
class ExploreOptions(Options):
    """What is explored, and where the page is."""

    run: str = rules.run_option("Explorer")
    host: str = option(
        "127.0.0.1",
        "address to listen on; the default is this machine alone, and whoever reaches "
        "another can use the model and see the examples",
    )
    port: int = option(
        0, "port to listen on; 0: one that is free", minimum=0, maximum=65_535
    )
    open: bool = option(True, "open the page in the browser")
    device: str = rules.device_option()


def explore(given: dict[str, Any]) -> None:
    """Serves the page with the flags that were given, until it is interrupted."""
    options = ExploreOptions.resolve(given)
    # Late, because it starts TensorFlow: a bad flag is answered before that.
    try:
        with quiet.starting_tensorflow(options.device):
            from keras_vae.reporting import explorer
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "werkzeug":
            raise
        raise ValueError(
            "The explorer needs Werkzeug: pip install 'werkzeug<4'."
        ) from error
    explorer.explore(options.run, options.host, options.port, options.open, say=print)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the program and returns its exit code."""
    return flags.run_main(explore, ExploreOptions, __doc__, argv)
