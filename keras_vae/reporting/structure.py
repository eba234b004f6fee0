"""Reads the blocks of a model's graph from its Keras networks."""

from collections.abc import Iterable, Iterator
from typing import Any

from keras_vae.visualization.graph import Block

_FOLDED = ("Activation", "Normalization", "Dropout", "Flatten", "Reshape", "ReLU")
"""Layers, by a part of their name, that are written into the box in front of them."""
_QUIET = ("Split", "GetItem", "InputLayer")
_MOST = 40  # boxes; a deeper network is shown as one


def blocks(network: Any) -> list[Block]:
    """Returns the blocks of an encoder or a decoder, from input to output.

    A layer that only follows another one (an activation, a normalisation) is written
    into that one's box. A network that follows other layers is opened. A network
    that is not a graph of layers is one box.

    Args:
        network: A `keras.Model`.
    """
    if chain := _behind_others(network):
        front, inner = chain
        found = [
            _block([layer], (k - 1,) if k else ()) for k, layer in enumerate(front)
        ]
        return found + shifted(blocks(inner), len(front))
    try:
        found = list(_graph(network))
    except (AttributeError, KeyError, ValueError):  # a subclassed model has no graph
        found = []
    if not 1 <= len(found) <= _MOST:
        return [_whole(network)]
    return found


def _behind_others(network: Any) -> tuple[list[Any], Any] | None:
    """Takes a chain of layers that ends in a network apart; None for another."""
    layers = [x for x in getattr(network, "layers", ()) if not _is(x, ("InputLayer",))]
    networks = [layer for layer in layers if hasattr(layer, "layers")]
    if len(layers) < 2 or networks != layers[-1:]:
        return None
    return layers[:-1], layers[-1]


def shifted(found: list[Block], count: int) -> list[Block]:
    """Returns blocks that follow `count` others, the first after the last."""
    return [
        block._replace(
            inputs=tuple(index + count for index in block.inputs or ())
            or ((count - 1,) if count else ())
        )
        for block in found
    ]


def _graph(network: Any) -> Iterator[Block]:
    import keras

    producer: dict[int, Any] = {}
    for layer in network.layers:
        for tensor in keras.tree.flatten(layer.output):
            producer[id(tensor)] = layer
    users: dict[Any, int] = {}
    sources: dict[Any, list[Any]] = {}
    for layer in network.layers:
        inputs = [] if _is(layer, ("InputLayer",)) else keras.tree.flatten(layer.input)
        sources[layer] = [producer[id(tensor)] for tensor in inputs]
        for source in sources[layer]:
            users[source] = users.get(source, 0) + 1
    box_of: dict[Any, int] = {}  # of the box that a layer is written into
    boxes: list[list[Any]] = []
    inputs_of: list[list[int]] = []
    for layer in network.layers:
        before = sources[layer]
        if _is(layer, _QUIET):
            box_of[layer] = box_of[before[0]] if before else -1
            continue
        alone = len(before) == 1 and users[before[0]] == 1 and box_of[before[0]] >= 0
        if alone and _is(layer, _FOLDED):
            box_of[layer] = box_of[before[0]]
            boxes[box_of[layer]].append(layer)
            continue
        box_of[layer] = len(boxes)
        boxes.append([layer])
        inputs_of.append(sorted({box_of[source] for source in before}))
    for box, sources_of_box in zip(boxes, inputs_of, strict=True):
        given = tuple(source for source in sources_of_box if source >= 0)
        yield _block(box, given)


def _is(layer: Any, kinds: Iterable[str]) -> bool:
    return any(kind in type(layer).__name__ for kind in kinds)


def _block(layers: list[Any], inputs: tuple[int, ...]) -> Block:
    words = [word for layer in layers for word in _words(layer)]
    return Block(
        ", ".join(words),
        shape_text(layers[-1].output.shape[1:]),
        inputs,
        any(layer.trainable_variables for layer in layers),
    )


def _words(layer: Any) -> list[str]:
    kind = type(layer).__name__
    if kind == "Activation":
        return [layer.activation.__name__]
    if kind == "InputNoise":
        return [f"{layer.kind} noise in training", f"{layer.amount:g}"]
    size = getattr(layer, "units", None) or getattr(layer, "filters", None)
    words = [kind if size is None else f"{kind} {size}"]
    strides = getattr(layer, "strides", ())
    if strides and max(strides) > 1:
        words.append(f"stride {max(strides)}")
    if size is not None and getattr(layer, "activation", None) is not None:
        name = getattr(layer.activation, "__name__", "")
        words += [name] if name != "linear" else []
    return words


def weights_text(network: Any) -> str:
    """Returns how many weights a network has, as text."""
    return f"{network.count_params():,} weights"


def _whole(network: Any) -> Block:
    output = getattr(network, "output_shape", None)
    shape = output[-1] if isinstance(output, list) else output
    text = f"{network.name}, {weights_text(network)}"
    return Block(text, shape_text(shape[1:]) if shape else "", (), True)


def shape_text(shape: Iterable[Any]) -> str:
    """Returns a shape as text: "28 × 28 × 1"."""
    return " × ".join("?" if size is None else str(size) for size in shape)
