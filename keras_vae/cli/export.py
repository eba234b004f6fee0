"""Exports the model of a run for programs without this package: ONNX, LiteRT.

Examples:
    keras-vae export --run runs/digits --format onnx
    keras-vae export --run runs/digits --format litert --int8
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

from keras_vae.cli import flags
from keras_vae.training import quiet, rules
from keras_vae.training.options import Options, option


@dataclasses.dataclass(frozen=True)
class ExportOptions(Options):
    """What is exported."""

    run: str = rules.run_option("Export")
    format: str = option(
        help="what is written",
        choices={
            "onnx": "encoder, decoder and generate as .onnx files; needs `pip install "
            "'keras_vae[onnx]'`",
            "litert": "the same as .tflite files",
            "tf_saved_model": "a SavedModel, which a run already has in saved_model/",
        },
    )
    out: str | None = option(
        None, "the folder to write; one of the format's name in the run's if not given"
    )
    int8: bool = option(
        False,
        "8-bit integers, on scales that suit training examples",
        only_with={"format": ("litert",)},
    )
    device: str = rules.device_option()


def export(given: dict[str, Any]) -> None:
    """Exports what the flags that were given ask for."""
    options = ExportOptions.resolve(given)
    # Late, because it starts TensorFlow: a bad flag is answered before that.
    with quiet.starting_tensorflow(options.device):
        from keras_vae.reporting import exports

    try:
        with quiet.hushed():  # converters write about themselves
            exports.export_run(
                options.run, options.format, options.out, options.int8, say=print
            )
    except ImportError as error:
        if error.name is not None:  # not the sentence on a package to install
            raise
        raise ValueError(str(error)) from error


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the program and returns its exit code."""
    return flags.run_main(export, ExportOptions, __doc__, argv)
