"""Which devices train: `tf.distribute` strategies by name.

Make the strategy first: logical CPU devices can only be set up before TensorFlow has
made a tensor.
"""

import json
import os
import re
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from keras_vae import naming


def use_device(name: str) -> None:
    """Lets TensorFlow see only the devices that are meant.

    Args:
        name: "auto" for all; "cpu"; "gpu", which must be there; "gpu:1" for one of
            them, counted from 0.

    Raises:
        ValueError: If there is no such GPU, or TensorFlow is already running on others.
    """
    if name == "auto":
        return
    gpus = tf.config.list_physical_devices("GPU")
    kind, _, number = name.partition(":")
    if kind == "cpu":
        wanted = []
    else:
        wanted = gpus[int(number) :][:1] if number else gpus
        if not wanted:
            there = f"{len(gpus)}, counted from 0" if gpus else "none"
            raise ValueError(
                f"--device {name}: TensorFlow sees no such GPU here; there is "
                f"{there}. Choose another, or --device cpu."
            )
    if wanted == tf.config.get_visible_devices("GPU"):
        return
    try:
        tf.config.set_visible_devices(wanted, "GPU")
    except RuntimeError as error:
        raise ValueError(
            f"It is too late for --device {name}: TensorFlow is already running on "
            "other devices. Choose it before anything else that uses TensorFlow."
        ) from error


def one_device(virtual_devices: int = 0) -> tf.distribute.Strategy:
    """Returns the strategy that trains where TensorFlow puts things by itself.

    That is the first GPU if there is one. Keras takes its own, faster ways with it.

    Raises:
        ValueError: If virtual devices are asked for.
    """
    if virtual_devices:
        raise ValueError(
            "The strategy 'one_device' has no use for virtual_devices="
            f"{virtual_devices}: leave it out, or take the strategy 'mirrored'."
        )
    return tf.distribute.get_strategy()


def mirrored(virtual_devices: int = 0) -> tf.distribute.Strategy:
    """Returns a `MirroredStrategy` over all visible GPUs.

    With `virtual_devices` it is over that many logical CPU devices, and without any GPU
    over the CPU as one replica.

    Raises:
        ValueError: If TensorFlow is already running with fewer logical CPU devices.
    """
    if virtual_devices:
        return tf.distribute.MirroredStrategy(
            logical_cpus(virtual_devices),
            # The default, collective ops, holds a process to one number of devices.
            cross_device_ops=tf.distribute.ReductionToOneDevice(),
        )
    gpus = [device.name for device in tf.config.list_logical_devices("GPU")]
    return tf.distribute.MirroredStrategy(gpus or ["CPU:0"])


def multi_worker(
    workers: Sequence[str] = (), index: int = 0
) -> tf.distribute.MultiWorkerMirroredStrategy:
    """Returns the strategy of one of several workers, over all GPUs of each.

    It waits for the other workers to start.

    Args:
        workers: The address of each, "host:port", the same list on all of them; none:
            the environment variable TF_CONFIG names them, as `tf.distribute` reads it.
        index: Which of them this process is; 0 writes the files.

    Raises:
        ValueError: If nothing names the workers.
    """
    if workers:
        resolver: Any = tf.distribute.cluster_resolver.SimpleClusterResolver(
            tf.train.ClusterSpec({"worker": list(workers)}),
            task_type="worker",
            task_id=index,
            num_accelerators={"GPU": len(tf.config.get_visible_devices("GPU"))},
            rpc_layer="grpc",
        )
    elif job_size() > 0:
        resolver = tf.distribute.cluster_resolver.TFConfigClusterResolver()
    else:
        raise ValueError(
            "The strategy 'multi_worker' needs the addresses of the workers: set "
            "--workers and --worker_index, or the environment variable TF_CONFIG."
        )
    return tf.distribute.MultiWorkerMirroredStrategy(cluster_resolver=resolver)


def job_size() -> int:
    """Returns how many workers the environment variable TF_CONFIG names; 0 without it.

    Raises:
        ValueError: If it is not what `tf.distribute` reads.
    """
    return len(_named_by_environment()[0])


def job(
    name: str, workers: Sequence[str] = (), index: int = 0
) -> tuple[list[str], int]:
    """Returns the addresses of a job's workers, the chief's first, and which this is.

    No addresses where the strategy of this name has one process only.

    Raises:
        ValueError: If TF_CONFIG is not what `tf.distribute` reads.
    """
    if not has_workers(name, workers):
        return [], 0
    return (list(workers), index) if workers else _named_by_environment()


def _named_by_environment() -> tuple[list[str], int]:
    """Returns what TF_CONFIG says: the addresses of all workers, and which this is."""
    text = os.environ.get("TF_CONFIG", "")
    if not text.strip():
        return [], 0
    try:
        content: Any = json.loads(text)
        jobs: dict[str, Any] = content.get("cluster", {})
        task: Any = content["task"] if jobs else {"type": "worker", "index": 0}
        kind, index = task["type"], int(task["index"])
        chiefs = [str(address) for address in jobs.get("chief", [])]
        addresses = [*chiefs, *map(str, jobs.get("worker", []))]
        known = not jobs or 0 <= index < len(jobs[kind])
        known = known and all(re.fullmatch(r".+:\d+", each) for each in addresses)
    except (ValueError, KeyError, TypeError, AttributeError):
        known, addresses, chiefs, kind, index = False, [], [], "", 0
    if not known:
        raise ValueError(
            "The environment variable TF_CONFIG: expected JSON as "
            '{"cluster": {"worker": ["host:port", ...]}, "task": {"type": "worker", '
            f'"index": 0}}}}, got {text[:200]!r}. Unset it to train on one machine.'
        )
    return addresses, index + (len(chiefs) if kind == "worker" else 0)


def auto(virtual_devices: int = 0) -> tf.distribute.Strategy:
    """Returns `mirrored` where there is more than one device to use, else `one_device`.

    Raises:
        ValueError: As `mirrored`.
    """
    if virtual_devices or len(tf.config.get_visible_devices("GPU")) > 1:
        return mirrored(virtual_devices)
    return one_device()


STRATEGIES: dict[str, Callable[[int], tf.distribute.Strategy]] = {
    "auto": auto,
    "one_device": one_device,
    "mirrored": mirrored,
}


def create(
    name: str = "auto",
    virtual_devices: int = 0,
    workers: Sequence[str] = (),
    worker_index: int = 0,
) -> tf.distribute.Strategy:
    """Returns the strategy of this name.

    Args:
        name: A key of `STRATEGIES` or "multi_worker". "auto" is that too where there
            are workers: in `workers`, or two and more in TF_CONFIG.
        virtual_devices: Logical CPU devices to train on as if they were GPUs; 0: none.
        workers: As `multi_worker`.
        worker_index: As `multi_worker`.

    Raises:
        ValueError: If the name is unknown, the strategy has no use for virtual devices
            or workers, or it is too late to make devices.
    """
    if name == "multi_worker" or has_workers(name, workers):
        if virtual_devices:
            raise ValueError(
                "The strategy 'multi_worker' has no use for virtual_devices="
                f"{virtual_devices}: leave it out."
            )
        return multi_worker(workers, worker_index)
    if workers:
        raise ValueError(
            f"The strategy {name!r} has no use for workers={','.join(workers)}: take "
            "'multi_worker'."
        )
    return naming.lookup("strategy", name, STRATEGIES)(virtual_devices)


def has_workers(name: str, workers: Sequence[str] = ()) -> bool:
    """Whether the strategy of this name will have several workers.

    Raises:
        ValueError: If TF_CONFIG is not what `tf.distribute` reads.
    """
    if name not in ("auto", "multi_worker"):
        return False
    return len(workers) > 1 or (not workers and job_size() > 1)


def logical_cpus(count: int) -> list[str]:
    """Splits the CPU into logical devices and returns the names of `count` of them.

    Raises:
        ValueError: If TensorFlow is already running with fewer of them.
    """
    cpu = tf.config.list_physical_devices("CPU")[0]
    configured = tf.config.get_logical_device_configuration(cpu) or []
    if len(configured) < count:
        try:
            tf.config.set_logical_device_configuration(
                cpu, [tf.config.LogicalDeviceConfiguration()] * count
            )
        except RuntimeError as error:
            raise ValueError(
                f"It is too late for virtual_devices={count}: TensorFlow is already "
                f"running with {len(configured) or 1} logical CPU device(s). Make the "
                "strategy before anything else that uses TensorFlow."
            ) from error
    return [f"CPU:{index}" for index in range(count)]
