"""What all networks are put together from, and the checks of their arguments."""

import math
import operator
from collections.abc import Callable, Sequence
from typing import Any, TypedDict

import keras

from keras_vae.errors import invalid_argument
from keras_vae.naming import lookup, nearest
from keras_vae.networks import limit
from keras_vae.networks.layers import RowDropout, UpsampleConv

# He et al. 2015 make up for what the rectifier cuts off; softplus, ELU and SELU keep
# the second moment of a standard normal near 1, as LeCun's rule assumes.
_INITIALIZERS = {
    "relu": "he_normal",
    "leaky_relu": "he_normal",
    "silu": "he_normal",
    "swish": "he_normal",
    "gelu": "he_normal",
    "softplus": "lecun_normal",
    "elu": "lecun_normal",
    "selu": "lecun_normal",
}
_DEFAULT_INITIALIZER = "glorot_uniform"
_NORMALIZATIONS = dict.fromkeys(("batch", "layer"))
_MAX_FILTERS = 256

_CONV = {1: keras.layers.Conv1D, 2: keras.layers.Conv2D}
_TRANSPOSED = {1: keras.layers.Conv1DTranspose, 2: keras.layers.Conv2DTranspose}
_CROPPING = {1: keras.layers.Cropping1D, 2: keras.layers.Cropping2D}


class Options(TypedDict, total=False):
    """The options that all networks have; None is the default.

    Attributes:
        activation: A name in `keras.activations`, or a function. By default "silu", and
            "relu" in convolutional networks, where it takes far less time on CPUs.
        initializer: Of all kernels: a name in `keras.initializers`, or an
            `Initializer`. By default He normal before ReLU and its smooth kin, LeCun
            normal before softplus, ELU and SELU, Glorot uniform before tanh, other
            activations and the last layer.
        dropout: The share of features (of images and sequences: of channels) that is
            dropped behind each hidden layer in training, in [0, 1).
        normalization: None by default. "layer": each example by itself, a vector over
            its features, a map over all positions and channels. "batch": the result of
            training then depends on how a batch is split over replicas. It comes
            between a layer and its activation.
        normalize_after: Whether it comes behind the activation instead.
        output_gain: How large a decoder's last kernel is at first, relative to what the
            initialiser makes of it: above 0, 1 by default. Encoders do not use it.
        context: How many numbers an encoder gives as a third output, for a posterior
            that is a flow; 0 by default, for none. Decoders do not use it.
        name: Of the model; its layers' names start with it. Networks of one model that
            use dropout need different names.
    """

    activation: str | Callable[[Any], Any] | None
    initializer: Any
    dropout: float | None
    normalization: str | None
    normalize_after: bool
    output_gain: float
    context: int
    name: str | None


class Blocks:
    """Adds layers in one style and names them in order.

    Args:
        role: The model's name where the options have none: "encoder" or "decoder".
        options: The style.
        activation: The default where the options name none.

    Raises:
        TypeError: If there is no such option.
        ValueError: If the value of one is out of range.
    """

    def __init__(self, role: str, options: Options, activation: str = "silu") -> None:
        for option in options:
            if option not in Options.__annotations__:
                raise TypeError(
                    f"Unexpected option {option!r}. Expected some of "
                    f"{', '.join(map(repr, Options.__annotations__))}."
                    f"{nearest(option, Options.__annotations__)}"
                )
        self.name = options.get("name") or role
        self.activation = _checked_name(
            "activation", options.get("activation") or activation, keras.activations
        )
        self.initializer = _checked_name(
            "initializer", options.get("initializer"), keras.initializers
        )
        self.dropout = _checked_rate(options.get("dropout") or 0.0)
        self.normalization = options.get("normalization")
        if self.normalization is not None:
            lookup("normalization", self.normalization, _NORMALIZATIONS)
        self.normalize_after = bool(options.get("normalize_after"))
        self.output_gain = _checked_gain(options.get("output_gain", 1.0))
        self.context = options.get("context") or 0
        self._counts: dict[str, int] = {}

    def dense(self, x: Any, units: int, **kwargs: Any) -> Any:
        """A linear layer in front of an activation."""
        limit.count(x.shape[-1] * units)
        return keras.layers.Dense(units, **self._layer("dense", kwargs))(x)

    def conv(
        self, x: Any, filters: int, strides: int = 1, taps: int = 3, **kwargs: Any
    ) -> Any:
        """A linear convolution; a stride of 2 halves each side, rounding up."""
        layer = _CONV[len(x.shape) - 2]
        kwargs = {"strides": strides, "padding": "same", **self._layer("conv", kwargs)}
        return layer(filters, taps, **kwargs)(x)

    def transposed(self, x: Any, filters: int, size: Sequence[int]) -> Any:
        """The way back of a convolution of stride 2, to maps of exactly `size`."""
        layer = _TRANSPOSED[len(size)]
        kwargs = {"strides": 2, "padding": "same", **self._layer("upsample", {})}
        kwargs["output_padding"] = tuple(1 - side % 2 for side in size)
        return layer(filters, 3, **kwargs)(x)

    def upsample(self, x: Any, filters: int, size: Sequence[int]) -> Any:
        """Maps of exactly `size` by nearest neighbours and a convolution."""
        h = UpsampleConv(filters, **self._layer("upsample", {}))(x)
        margins = [(0, side % 2) for side in size]
        if not any(map(any, margins)):
            return h
        crop, label = _CROPPING[len(size)], self._label("crop")
        return crop(margins[0] if len(size) == 1 else margins, name=label)(h)

    def activate(self, x: Any) -> Any:
        """Normalisation, activation, dropout: what follows a linear layer."""
        if not self.normalize_after:
            x = self._normalize(x)
        x = keras.layers.Activation(self.activation, name=self._label("activation"))(x)
        if self.normalize_after:
            x = self._normalize(x)
        if self.dropout:
            x = RowDropout(self.dropout, name=self._label("dropout"))(x)
        return x

    def _normalize(self, x: Any) -> Any:
        if self.normalization is None:
            return x
        label = self._label("normalization")
        if self.normalization == "batch":
            # Keras' momentum of 0.99 needs hundreds of steps to forget its start.
            return keras.layers.BatchNormalization(momentum=0.9, name=label)(x)
        if len(x.shape) == 2:
            return keras.layers.LayerNormalization(name=label)(x)
        return keras.layers.GroupNormalization(groups=1, name=label)(x)

    def hidden(self, x: Any, hidden_units: Sequence[int]) -> Any:
        """Dense layers one after the other, each with its activation."""
        for units in hidden_units:
            x = self.activate(self.dense(x, units))
        return x

    def residual(self, x: Any, linear: Callable[..., Any]) -> Any:
        """Adds linear(f(linear(f(x)))) to x: He et al. 2016, pre-activation.

        The last layer starts at zero, the block as the identity (Zhang et al. 2019),
        unless an initialiser is given.
        """
        width = x.shape[-1]
        h = linear(self.activate(x), width)
        start = {} if self.initializer is not None else {"kernel_initializer": "zeros"}
        h = linear(self.activate(h), width, **start)
        return keras.layers.Add(name=self._label("add"))([x, h])

    def last(self) -> Any:
        """The initialiser of a layer that no activation follows."""
        return self._initializer() or _DEFAULT_INITIALIZER

    def output(self, layer: keras.layers.Layer, h: Any) -> Any:
        """Calls a decoder's last layer for the first time, which makes its kernel."""
        params = layer(h)
        if self.output_gain != 1.0:
            layer.kernel.assign(self.output_gain * layer.kernel)
        return params

    def encoder(self, x: Any, h: Any, latent_dim: int) -> keras.Model:
        """Ends an encoder: one Dense layer split in two, and one of the context."""
        limit.count(h.shape[-1] * 2 * latent_dim)
        head = keras.layers.Dense(
            2 * latent_dim,
            kernel_initializer=self.last(),
            name=f"{self.name}_head",
        )(h)
        z_mean, z_log_var = keras.ops.split(head, 2, axis=-1)
        outputs = [z_mean, z_log_var]
        if self.context:
            limit.count(h.shape[-1] * self.context)
            name = f"{self.name}_context"
            outputs.append(
                keras.layers.Dense(
                    self.context, kernel_initializer=self.last(), name=name
                )(h)
            )
        return keras.Model(x, outputs, name=self.name)

    def _label(self, kind: str) -> str:
        # Keras counts names over the process; dropout's streams need names that are
        # the same each time the model is made.
        self._counts[kind] = self._counts.get(kind, 0) + 1
        return f"{self.name}_{kind}_{self._counts[kind]}"

    def _layer(self, kind: str, kwargs: dict[str, Any]) -> dict[str, Any]:
        name = self.activation
        name = name if isinstance(name, str) else getattr(name, "__name__", "")
        suited = _INITIALIZERS.get(name, _DEFAULT_INITIALIZER)
        label = self._label(kind)
        initializer = self._initializer() or suited
        return {"kernel_initializer": initializer, "name": label, **kwargs}

    def _initializer(self) -> Any:
        """The one that was given; a copy, for an `Initializer` repeats its values."""
        if isinstance(self.initializer, keras.initializers.Initializer):
            return self.initializer.clone()
        return self.initializer


def default_filters(sides: Sequence[int]) -> tuple[int, ...]:
    """32, 64, 128 ... up to 256: as many as bring the longest side to 8 or below."""
    halvings = max(1, math.ceil(math.log2(max(sides) / 8)))
    return tuple(min(32 * 2**k, _MAX_FILTERS) for k in range(halvings))


def checked_size(argument: str, value: Any) -> int:
    """Returns `value`, a whole number of at least 1.

    Raises:
        ValueError: If it is anything else.
    """
    if not _is_size(value):
        raise invalid_argument(argument, "a whole number of at least 1", value)
    return operator.index(value)


def checked_widths(
    argument: str, value: Any, example: str, minimum: int = 0
) -> tuple[int, ...]:
    """Returns `value`, whole numbers of at least 1, as a tuple.

    Raises:
        ValueError: If it is anything else, or there are fewer than `minimum`.
    """
    is_sequence = isinstance(value, Sequence) and not isinstance(value, str)
    if not is_sequence or len(value) < minimum or not all(map(_is_size, value)):
        count = "at least one whole number" if minimum else "whole numbers"
        raise invalid_argument(
            argument, f"a tuple of {count} of at least 1, such as {example}", value
        )
    return tuple(operator.index(width) for width in value)


def checked_network_shape(
    argument: str, value: Any, ranks: Sequence[int] = (1, 2, 3), network: str = "mlp"
) -> tuple[int, ...]:
    """Returns `value`, the shape of an example of a network, as a tuple.

    Raises:
        ValueError: If it is no shape, or of a kind that the network does not take.
    """
    kinds = {
        1: ("(features,)", "mlp"),
        2: ("(time, features)", "conv1d"),
        3: ("(height, width, channels)", "conv"),
    }
    is_sequence = isinstance(value, Sequence) and not isinstance(value, str)
    if is_sequence and len(value) in kinds and all(map(_is_size, value)):
        if len(value) in ranks:
            return tuple(operator.index(side) for side in value)
        advice = f"For this shape use {kinds[len(value)][1]!r}."
    else:
        advice = "Each size is a whole number of at least 1, the batch is left out."
    wanted = " or ".join(kinds[rank][0] for rank in sorted(ranks, reverse=True))
    raise invalid_argument(
        argument, f"{wanted} for the network {network!r}", value, advice=advice
    )


def _is_size(value: Any) -> bool:
    if isinstance(value, bool):
        return False
    try:
        return operator.index(value) >= 1
    except TypeError:
        return False


def _checked_rate(value: Any) -> float:
    if isinstance(value, bool) or not (
        isinstance(value, (int, float)) and 0 <= value < 1
    ):
        raise invalid_argument("dropout", "a number of at least 0 and below 1", value)
    return float(value)


def _checked_gain(value: Any) -> float:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not 0 < value < math.inf:
        raise invalid_argument("output_gain", "a finite number above 0", value)
    return float(value)


def _checked_name(argument: str, value: Any, module: Any) -> Any:
    """Returns `value`: None, a function, or a name that `module.get` of Keras knows."""
    if isinstance(value, str):
        functions = {"get", "serialize", "deserialize"}
        names = [k for k in dir(module) if k[0].isalpha() and k not in functions]
        if value not in names:
            lookup(argument, value, dict.fromkeys(filter(str.islower, names)))
    elif value is not None and not callable(value):
        raise invalid_argument(argument, "a name or a function", value)
    return value
