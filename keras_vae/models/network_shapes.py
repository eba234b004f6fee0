"""Whether networks fit a model: they are called on symbolic tensors, and looked at."""

from typing import Any

import keras

from keras_vae.errors import invalid_argument


def check_output(
    argument: str, network: Any, x: Any, shape: tuple[int, ...], what: str
) -> None:
    """Checks that a network gives one tensor of the shape needed.

    Args:
        argument: What the network is called in messages.
        network: A `keras.Model`.
        x: What it is called with, symbolic.
        shape: Of what it is to give for one example.
        what: What that is, for messages.

    Raises:
        ValueError: If it gives something else, or cannot be called on x.
    """
    found = _called(argument, network, x)
    needed = (None, *shape)
    if tuple(getattr(found, "shape", ())) != needed:
        raise invalid_argument(
            argument,
            f"a model that returns {what} of shape {needed}",
            received=f"one that returns shape {getattr(found, 'shape', found)}",
        )


def check_pair(
    argument: str, network: Any, x: Any, size: int, context: int = 0
) -> None:
    """Checks that a network gives means and log variances, of `size` numbers each.

    With a context of so many numbers it is to give that too.

    The other arguments and errors are those of `check_output`.
    """
    pair = _called(argument, network, x)
    pair = list(pair) if isinstance(pair, list | tuple) else [pair]
    wanted = (None, size)
    shapes = [getattr(part, "shape", part) for part in pair]
    if shapes != [wanted, wanted, *[(None, context)] * bool(context)]:
        outputs = f"the pair (z_mean, z_log_var), each of shape {wanted}"
        if context:
            outputs = (
                f"z_mean, z_log_var and the context of a flow, of shapes {wanted}, "
                f"{wanted} and {(None, context)}"
            )
        raise invalid_argument(
            argument,
            f"a model that returns {outputs}",
            received=f"one that returns shapes {shapes}",
        )


def _called(argument: str, network: Any, x: Any) -> Any:
    try:
        return network(x)
    except Exception as error:
        shape = keras.tree.map_structure(lambda part: tuple(part.shape), x)
        raise invalid_argument(
            argument,
            f"a model that can be called on shape {shape}",
            received=f"one that fails there: {str(error).rstrip('.')}",
        ) from error
