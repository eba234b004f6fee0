"""Keeps one class at a time from training and lets the model find it in the test part.

python scripts/anomaly.py --dataset digits --epochs 50
python scripts/anomaly.py --dataset mnist --binarize dynamic --epochs 20
"""

import sys
from collections.abc import Sequence
from typing import Any

from keras_vae.training import flags, leave_out, quiet
from keras_vae.training.leave_out import LeaveOutOptions

DIVERGED = 1


def find(given: dict[str, Any]) -> int:
    """Trains and scores as the flags that were given say; returns the exit code."""
    options = LeaveOutOptions.resolve(given)
    # Late, because it starts TensorFlow: a bad flag is answered before that.
    with quiet.starting_tensorflow(options.device):
        from keras_vae.models.divergence import Diverged

    try:
        leave_out.leave_out(options, say=print)
    except Diverged as error:
        sys.stderr.write(f"anomaly.py: {error}\n")
        return DIVERGED
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the program and returns its exit code."""
    return flags.run_main(find, LeaveOutOptions, __doc__, argv)


if __name__ == "__main__":
    sys.exit(main())
