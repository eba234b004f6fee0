"""From a configuration and the shape of the data to a compiled model."""

import contextlib
import inspect
from collections.abc import Iterator
from typing import Any

import keras
import tensorflow as tf

from keras_vae import networks
from keras_vae.data import memory
from keras_vae.data.pipeline import num_batches
from keras_vae.engine import workers
from keras_vae.engine.optimizers import Adam
from keras_vae.errors import invalid_flag
from keras_vae.models import registry
from keras_vae.models.conditional_networks import (
    conditional_decoder,
    conditional_encoder,
    prior_network,
)
from keras_vae.models.conditions import Condition
from keras_vae.models.partial_labels import label_classifier
from keras_vae.models.registry import KINDS, ModelEntry
from keras_vae.models.schedules import Cyclical, LinearWarmup
from keras_vae.models.vae import VAE
from keras_vae.naming import lookup
from keras_vae.networks import limit
from keras_vae.networks.flows import FLOWS, make_flow
from keras_vae.networks.noise import with_input_noise
from keras_vae.probability.likelihoods import Likelihood, likelihood_of
from keras_vae.probability.priors import PRIORS, FlowPrior, Prior
from keras_vae.training import messages
from keras_vae.training.config import TrainConfig


def build_model(
    config: TrainConfig,
    input_shape: tuple[int, ...],
    num_examples: int,
    condition: Condition | None = None,
) -> VAE:
    """Returns the compiled model of a configuration, with its state made.

    Call it in the scope of the strategy that will train it, on all workers.

    Args:
        config: The flags.
        input_shape: Of one example.
        num_examples: Number of training examples.
        condition: What a conditional model is given.

    Raises:
        ValueError: If the flags do not fit the data, or the networks the memory.
    """
    with _room_for_weights(config):
        return _built(config, input_shape, num_examples, condition)


@contextlib.contextmanager
def _room_for_weights(config: TrainConfig) -> Iterator[None]:
    """Refuses networks that main memory has no room for before they are made.

    The worker with the least room refuses for all, since they make weights together.
    """
    strategy = tf.distribute.get_strategy()
    copies = 4 + bool(config.weight_average)  # weights, gradients, two moments
    replicas = strategy.num_replicas_in_sync // max(1, len(workers.cluster(strategy)))
    size = 4 * copies * replicas
    rooms = workers.together(strategy, _free_memory)
    room = min((found for found in rooms if found is not None), default=None)
    weights = contextlib.nullcontext() if room is None else limit.at_most(room // size)
    try:
        with weights:
            yield
    except limit.TooManyWeights as error:
        needed = size * error.weights
        raise ValueError(messages.no_room(config, needed, room)) from None
    except tf.errors.ResourceExhaustedError as error:
        raise ValueError(messages.no_room(config)) from error


def _free_memory() -> int | None:
    """Returns the bytes that are free for weights; None: not known, or on a GPU."""
    on_gpu = bool(tf.config.list_logical_devices("GPU"))
    return None if on_gpu else memory.available()


def _built(
    config: TrainConfig,
    input_shape: tuple[int, ...],
    num_examples: int,
    condition: Condition | None,
) -> VAE:
    entry = lookup("model", config.model, registry.MODELS)
    _require_kind(config.model, entry, input_shape)
    likelihood = likelihood_of(
        config.likelihood_of(input_shape),
        input_shape,
        scale=config.likelihood_scale,
        components=config.likelihood_components,
    )
    steps_per_epoch = num_batches(num_examples, config.examples_per_update)
    # In this order: what a seed gives to networks depends on which is made first.
    arguments = _from_data(config, entry, input_shape, num_examples, condition)
    arguments.update(_from_flags(config, entry, steps_per_epoch, condition))
    of_networks = entry.conditioning
    posteriors = 1
    if condition is not None and of_networks.posterior_per_label:
        posteriors = condition.code_shape[0]
    of_encoder = condition if of_networks.encoder else None
    of_decoder = condition if of_networks.decoder else None
    if entry.hierarchical:
        arguments["network_options"] = _style(config)
    else:
        arguments["encoder"] = _encoder(config, input_shape, of_encoder, posteriors)
        arguments["decoder"] = _decoder(config, likelihood, input_shape, of_decoder)
    model: VAE = entry.load(conditional=condition is not None)(
        latent_dim=config.latent_dim,
        input_shape=input_shape,
        likelihood=likelihood,
        seed=config.seed,
        **arguments,
        **({} if condition is None else condition.arguments),
    )
    model.compile(
        optimizer=_optimizer(config, steps_per_epoch),
        jit_compile=config.jit_compile,
        accumulate_steps=config.accumulate_steps,
    )
    model.ensure_built()
    return model


def _require_kind(model: str, entry: ModelEntry, input_shape: tuple[int, ...]) -> None:
    """Raises a ValueError where a model does not take such examples."""
    kind = KINDS[3 - len(input_shape)]
    if kind not in entry.kinds:
        raise invalid_flag(
            f"model {model}",
            " or ".join(entry.kinds),
            kind,
            "Choose another --model, or other data.",
        )


def _from_data(
    config: TrainConfig,
    entry: ModelEntry,
    input_shape: tuple[int, ...],
    num_examples: int,
    condition: Condition | None,
) -> dict[str, Any]:
    """The arguments of the constructor that the data decide."""
    arguments: dict[str, Any] = {}
    if "dataset_size" in entry.from_data:
        arguments["dataset_size"] = num_examples
    if "classifier" in entry.from_data:
        sees_z = entry.conditioning.classifier == "z"
        shape = (config.latent_dim,) if sees_z else input_shape
        arguments["classifier"] = _classifier(shape, condition)
    return arguments


def _from_flags(
    config: TrainConfig,
    entry: ModelEntry,
    steps_per_epoch: int,
    condition: Condition | None,
) -> dict[str, Any]:
    """The arguments of the constructor that flags decide, by the model's names."""

    def value(flag: str) -> Any:
        if flag == "prior":
            return _prior(config, condition)
        if flag == "beta":
            return _beta(config, steps_per_epoch)
        if flag == "posterior_flows" and config.posterior not in FLOWS:
            return None
        if flag == "capacity":
            return _capacity(config, steps_per_epoch)
        return getattr(config, flag)

    return {
        argument: value(flag)
        for flag, argument in entry.flags.items()
        if argument is not None
    }


def _prior(config: TrainConfig, condition: Condition | None) -> Prior | keras.Model:
    if config.prior == "conditional" and condition is not None:
        options = _options(config, "encoder")
        for name in ("dropout", "normalization", "normalize_after"):
            options.pop(name, None)  # p(z|c) is to depend on c alone
        return prior_network(config.encoder, condition, config.latent_dim, **options)
    kind = lookup("prior", config.prior, PRIORS)
    if kind is FlowPrior:
        return FlowPrior(config.prior_flows)
    if "components" in inspect.signature(kind.__init__).parameters:
        return kind(components=config.prior_components)
    return kind()


def _beta(config: TrainConfig, steps_per_epoch: int) -> Any:
    steps = max(1, round(config.kl_warmup_epochs * steps_per_epoch))
    if config.kl_schedule == "linear":
        return LinearWarmup(steps, config.beta)
    if config.kl_schedule == "cyclical":
        return Cyclical(2 * steps, 0.5, config.beta)
    return config.beta


def _capacity(config: TrainConfig, steps_per_epoch: int) -> Any:
    """The capacity grows over the first half of the training (Burgess et al. 2018)."""
    if config.capacity is None:
        return None
    return LinearWarmup(max(1, config.epochs * steps_per_epoch // 2), config.capacity)


def _classifier(
    shape: tuple[int, ...], condition: Condition | None
) -> keras.Model | None:
    """A classifier of images is convolutional, one of anything else dense."""
    if condition is None:
        return None
    (classes,) = condition.code_shape
    name = "conv" if len(shape) == 3 else "mlp"
    return label_classifier(name, shape, classes)


def _encoder(
    config: TrainConfig,
    input_shape: tuple[int, ...],
    condition: Condition | None,
    posteriors: int = 1,
) -> keras.Model:
    make = lookup("encoder", config.encoder, networks.ENCODERS)
    options = _options(config, "encoder")
    flow = make_flow(config.posterior, config.latent_dim, config.posterior_flows)
    if flow is not None:
        options["context"] = flow.context_size
    if condition is not None:
        return conditional_encoder(
            config.encoder, condition, input_shape, config.latent_dim, **options
        )
    size = posteriors * config.latent_dim
    encoder = make(input_shape, size, **options)
    if config.input_noise == "none":
        return encoder
    return with_input_noise(encoder, config.input_noise)


def _decoder(
    config: TrainConfig,
    likelihood: Likelihood,
    input_shape: tuple[int, ...],
    condition: Condition | None,
) -> keras.Model:
    params_shape = likelihood.params_shape(input_shape)
    options = _options(config, "decoder")
    options["output_gain"] = likelihood.output_gain
    if condition is not None:
        return conditional_decoder(
            str(config.decoder),
            condition,
            config.latent_dim,
            params_shape,
            **options,
        )
    make = lookup("decoder", str(config.decoder), networks.DECODERS)
    return make(config.latent_dim, params_shape, **options)


def _style(config: TrainConfig) -> dict[str, Any]:
    """The flags of all networks, as what makes networks takes them."""
    return {
        "activation": config.activation,
        "initializer": _initializer(config),
        "dropout": config.dropout,
        "normalization": "batch" if config.batch_norm else None,
    }


def _options(config: TrainConfig, network: str) -> dict[str, Any]:
    """The flags of the "encoder" or "decoder", as what makes networks takes them."""
    options = _style(config)
    if config.layer_order == "split":
        options["normalize_after"] = True
        del options["dropout" if network == "encoder" else "normalization"]
    if config.hidden_units is not None:
        options["hidden_units"] = config.hidden_units
    return options


def _initializer(config: TrainConfig) -> Any:
    """The name of Keras' initialiser, or one whose weights are the gain as large."""
    if config.initializer is None or config.initializer_gain == 1.0:
        return config.initializer
    plain = keras.initializers.get(config.initializer)
    if config.initializer == "orthogonal":
        return keras.initializers.Orthogonal(gain=config.initializer_gain)
    variance = config.initializer_gain**2
    return keras.initializers.VarianceScaling(
        plain.scale * variance, plain.mode, plain.distribution
    )


def _optimizer(config: TrainConfig, steps_per_epoch: int) -> keras.optimizers.Optimizer:
    rate: Any = config.learning_rate
    if config.learning_rate_schedule == "cosine":
        updates = config.epochs * steps_per_epoch
        rate = keras.optimizers.schedules.CosineDecay(rate, updates)
    return Adam(
        learning_rate=rate,
        beta_2=config.adam_beta_2,
        weight_decay=config.weight_decay or None,
        global_clipnorm=config.clipnorm or None,
    )
