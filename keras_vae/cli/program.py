"""The program `keras-vae`: finds the command that is asked for and runs it.

A command is a module of this package with a function `main`, and a line in `COMMANDS`.
Only the module that is asked for is imported, so that help is there at once.
"""

import importlib
import sys
from collections.abc import Sequence
from pathlib import Path

from keras_vae import naming
from keras_vae.cli import flags

COMMANDS = {
    "train": "trains a model and leaves the folder of a run",
    "generate": "generates examples with the SavedModel of a run",
    "evaluate": "measures the likelihood, the latents and the samples of a run",
    "encode": "writes the latents and the ELBO of every example as a table",
    "export": "writes the model of a run as ONNX, LiteRT or SavedModel",
    "visualize": "draws the plots of a run",
    "report": "writes one page about a run, report.html",
    "explore": "opens a page to move about the latent space of a run",
    "anomaly": "keeps one class at a time from training and detects it",
    "benchmark": "measures how fast this machine trains, generates and evaluates",
    "check": "checks that a device trains the same models as the CPU",
}
"""Name of each command, which is that of its module, and what it does."""


def help_text(name: str) -> str:
    """Returns what `--help` prints.

    Args:
        name: The program as it was called.
    """
    width = max(map(len, COMMANDS))
    return "\n".join(
        [
            f"usage: {name} COMMAND [--flag value ...]",
            "",
            "Trains variational autoencoders, measures them and generates with them.",
            "",
            "Commands",
            *(f"  {command:<{width}}  {about}" for command, about in COMMANDS.items()),
            "",
            f"{name} COMMAND --help lists the flags of a command.",
        ]
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command that the first argument names and returns its exit code.

    Args:
        argv: The program's name and its arguments; `sys.argv` if None.
    """
    program, *arguments = sys.argv if argv is None else argv
    path = Path(program)
    name = "python -m keras_vae" if path.name == "__main__.py" else path.stem
    if not arguments:
        sys.stderr.write(help_text(name) + "\n")
        return flags.BAD_INPUT
    command, *rest = arguments
    if command in flags.HELP:
        sys.stdout.write(help_text(name) + "\n")
        return 0
    if command not in COMMANDS:
        hint = naming.nearest(command, COMMANDS)
        sys.stderr.write(
            f"{name}: There is no command {command!r}.{hint} --help lists them all.\n"
        )
        return flags.BAD_INPUT
    module = importlib.import_module(f"keras_vae.cli.{command}")
    code: int = module.main([f"{name} {command}", *rest])
    return code
