"""Writes report.html, one page that needs nothing else, into the folder of a run.

Examples:
    keras-vae report --run saved_models/digits-vae-z20
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

from keras_vae.cli import flags
from keras_vae.training import quiet, rules
from keras_vae.training.options import Options


@dataclasses.dataclass(frozen=True)
class ReportOptions(Options):
    """What is reported on."""

    run: str = rules.run_option("Report")
    device: str = rules.device_option()


def report(given: dict[str, Any]) -> None:
    """Writes the report that the flags ask for."""
    options = ReportOptions.resolve(given)
    # Late, because it starts TensorFlow: a bad flag is answered before that.
    with quiet.starting_tensorflow(options.device):
        from keras_vae.reporting import report

    report.report(options.run, say=print)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the program and returns its exit code."""
    return flags.run_main(report, ReportOptions, __doc__, argv)
