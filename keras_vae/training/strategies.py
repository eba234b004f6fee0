"""Which devices train: `tf.distribute` strategies by name.

Make the strategy first: logical CPU devices can only be set up before TensorFlow has
made a tensor.
"""

from collections.abc import Callable

import tensorflow as tf

from keras_vae import naming


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


def auto(virtual_devices: int = 0) -> tf.distribute.Strategy:
    """Returns `mirrored` where there is more than one device to use, else `one_device`.

    Raises:
        ValueError: As `mirrored`.
    """
    if virtual_devices or len(tf.config.list_physical_devices("GPU")) > 1:
        return mirrored(virtual_devices)
    return one_device()


STRATEGIES: dict[str, Callable[[int], tf.distribute.Strategy]] = {
    "auto": auto,
    "one_device": one_device,
    "mirrored": mirrored,
}


def create(name: str = "auto", virtual_devices: int = 0) -> tf.distribute.Strategy:
    """Returns the strategy of this name.

    Args:
        name: A key of `STRATEGIES`.
        virtual_devices: Logical CPU devices to train on as if they were GPUs; 0: none.

    Raises:
        ValueError: If the name is unknown, the strategy has no use for virtual devices,
            or it is too late to make them.
    """
    return naming.lookup("strategy", name, STRATEGIES)(virtual_devices)


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
