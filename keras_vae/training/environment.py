"""When, where and with what a run is trained: what its folder keeps of that."""

import datetime
import platform
import re
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

import keras_vae
from keras_vae.engine.parallel import cores


def environment() -> dict[str, Any]:
    """Returns the date, the hardware and the versions, ready for JSON."""
    now = datetime.datetime.now(datetime.UTC)
    return {
        "date": now.strftime("%Y-%m-%d %H:%M UTC"),
        "hardware": hardware(),
        **versions(),
        "devices": [device.name for device in tf.config.list_logical_devices()],
    }


def versions() -> dict[str, str]:
    """Returns the version of all that decides how a model trains."""
    return {
        "keras_vae": keras_vae.__version__,
        "tensorflow": tf.__version__,
        "keras": keras.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
    }


def hardware() -> str:
    """Returns the processor and the GPUs that are used, in words."""
    names = [f"{processor()}, {cores()} cores"]
    for gpu in tf.config.get_visible_devices("GPU"):
        details = tf.config.experimental.get_device_details(gpu)
        names.append(str(details.get("device_name", gpu.name)))
    return "; ".join(names)


def processor() -> str:
    """Returns the name of the processor's model, or of its kind."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:  # there is none but on Linux
        text = ""
    found = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    if found:
        return found[1].strip()
    return platform.processor() or platform.machine()
