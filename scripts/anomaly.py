"""Keeps one class at a time from training and lets the model find it in the test part.

python scripts/anomaly.py --dataset digits --epochs 50
python scripts/anomaly.py --dataset mnist --binarize dynamic --epochs 20
"""

import sys
from collections.abc import Sequence
from typing import Any

from keras_vae.training import flags, leave_out
from keras_vae.training.leave_out import LeaveOutOptions


def find(given: dict[str, Any]) -> None:
    """Trains and scores as the flags that were given say."""
    leave_out.leave_out(LeaveOutOptions.resolve(given), say=print)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the program and returns its exit code."""
    return flags.run_main(find, LeaveOutOptions, __doc__, argv)


if __name__ == "__main__":
    sys.exit(main())
