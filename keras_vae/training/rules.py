"""What values of flags must be where no bounds can say it: patterns, and pairs."""

import re
from collections.abc import Sequence
from typing import Any

from keras_vae.errors import invalid_flag
from keras_vae.models import registry
from keras_vae.naming import shortened
from keras_vae.training.options import option

_ADDRESS = re.compile(r"[^\s,:/]+:([0-9]{1,5})")
_INPUT_NOISE = re.compile(r"(gaussian|masking):([0-9]*\.?[0-9]+)")
_ARRAY_NAME = re.compile(r"[^=,]+=[^=,]+")
_DEVICE = re.compile(r"auto|cpu|gpu(:[0-9]{1,3})?")


def check_workers(
    workers: Sequence[str] | None, index: int | None, virtual_devices: int
) -> None:
    """Raises a ValueError unless `--workers` and `--worker_index` go together."""
    if workers is None and index is None:
        return
    if workers is None or index is None:
        raise ValueError(
            "--workers and --worker_index go together: the addresses of all "
            "workers, and which of them this process is."
        )
    for address in workers:
        match = _ADDRESS.fullmatch(address)
        if not match or not 0 < int(match[1]) < 2**16:
            raise invalid_flag(
                "workers",
                "addresses as host:port with ports up to 65535",
                repr(address),
            )
    if len(set(workers)) < len(workers):
        raise invalid_flag("workers", "every address once", ",".join(workers))
    if index >= len(workers):
        raise invalid_flag(
            "worker_index", f"less than {len(workers)}, the number of --workers", index
        )
    if virtual_devices:
        raise ValueError(
            "--virtual_devices has no effect with --workers: leave one of them out."
        )


def check_array_names(pairs: Sequence[str]) -> None:
    """Raises a ValueError unless `--array_names` is as its help says."""
    for pair in pairs:
        if not _ARRAY_NAME.fullmatch(pair):
            raise invalid_flag(
                "array_names",
                "pairs, as in x_train=images,y_train=labels",
                shortened(pair),
            )


def check_flow(posterior: str, model: str, prior: str, init_latents: str) -> None:
    """Raises a ValueError where a posterior that is a flow has no place."""
    users = registry.users("posterior_flows")
    if model not in users:
        raise ValueError(
            f"--posterior {posterior} is no posterior of --model {model}: set --model "
            f"{', '.join(users[:-1])} or {users[-1]}, or another --posterior."
        )
    if prior == "vamp":
        raise ValueError(
            f"--prior vamp is made of normal posteriors, and --posterior {posterior} "
            "gives none: choose another of one of them."
        )
    if init_latents != "none":
        raise ValueError(
            f"--init_latents {init_latents} teaches the encoder z itself, which "
            f"--posterior {posterior} would move: leave one of them out."
        )


def check_input_noise(noise: str, most: float) -> None:
    """Raises a ValueError unless `--input_noise` is as its help says."""
    match = _INPUT_NOISE.fullmatch(noise)
    amount = float(match[2]) if match else 0.0
    limit = 1.0 if match and match[1] == "masking" else most
    if noise != "none" and (not match or amount >= limit):
        raise invalid_flag(
            "input_noise",
            f"none, gaussian:S with a standard deviation S below {most:,}, or "
            "masking:P with a fraction P below 1",
            shortened(noise),
        )


def run_option(group: str) -> Any:
    """Returns the option `--run`, the same of every program that opens a run."""
    return option(
        help="folder of a finished run, as saved_models/digits-vae-z20", group=group
    )


def device_option(group: str | None = None) -> Any:
    """Returns the option `--device`, the same of every program."""
    return option(
        "auto",
        "what computes: cpu, gpu, or gpu:1 for the GPU of that number, counted from 0; "
        "auto is every GPU, or the CPU where there is none",
        group=group,
        shapes_result=False,
    )


def check_device(device: str, virtual_devices: int = 0) -> None:
    """Raises a ValueError unless `--device` is as its help says."""
    if not _DEVICE.fullmatch(device):
        raise invalid_flag(
            "device",
            "auto, cpu, gpu, or gpu:N for the GPU of number N from 0, as in gpu:1",
            shortened(device),
        )
    if virtual_devices and device.startswith("gpu"):
        raise ValueError(
            f"--virtual_devices are CPU devices and --device is {device}: leave one of "
            "them out."
        )


def idle(name: str, config: Any) -> str | None:
    """Says why a flag has no effect with others of a `TrainConfig`; None: it has."""
    if name == "layer_order" and not (config.batch_norm or config.dropout):
        return (
            "--layer_order has no effect without --batch_norm and --dropout: leave it "
            "out, or set one of them."
        )
    goes_down = config.learning_rate_schedule == "cosine"
    if name == "stretch_schedule" and not (goes_down or config.capacity is not None):
        return (
            "--stretch_schedule has no effect with --learning_rate_schedule "
            f"{config.learning_rate_schedule}: leave it out."
        )
    if name == "jit_compile" and config.deterministic:
        return (
            "--jit_compile has no effect with --deterministic, with which XLA compiles "
            "nothing: leave one of them out."
        )
    return None
