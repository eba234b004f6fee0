"""Starts TensorFlow without what its C++ side writes to the terminal meanwhile.

Notes on CPU features and missing CUDA drivers come before `TF_CPP_MIN_LOG_LEVEL` is
read, and say nothing about the user's run. Importing this module does not import
TensorFlow.
"""

import contextlib
import os
import sys
from collections.abc import Iterator

from keras_vae.training import rules


@contextlib.contextmanager
def hushed() -> Iterator[None]:
    """Sends what is written to file descriptor 2 nowhere meanwhile.

    What is raised inside is shown as ever. With TF_CPP_MIN_LOG_LEVEL=0 in the
    environment, everything is.
    """
    if os.environ.get("TF_CPP_MIN_LOG_LEVEL") == "0":
        yield
        return
    try:
        kept = os.dup(2)
    except OSError:  # there is no terminal to keep clean
        yield
        return
    sys.stderr.flush()
    try:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        sys.stderr.flush()
        os.dup2(kept, 2)
        os.close(kept)


@contextlib.contextmanager
def starting_tensorflow(device: str = "auto") -> Iterator[None]:
    """As `hushed`, for imports that bring TensorFlow in; it looks for GPUs as well.

    It takes some seconds, so a terminal says meanwhile what is going on. Logical
    devices can still be set up afterwards.

    Args:
        device: What the option `--device` says.

    Raises:
        ValueError: If that names no device, or none that is there.
    """
    rules.check_device(device)
    shown = sys.stderr.isatty()
    if shown:
        sys.stderr.write("Starting TensorFlow ...")
    try:
        with hushed():
            yield
            import tensorflow as tf

            tf.config.list_physical_devices()
            if device != "auto":
                from keras_vae.engine import strategies

                strategies.use_device(device)
    finally:
        if shown:
            sys.stderr.write("\r\x1b[K")
