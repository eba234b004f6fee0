"""What a training run is: every choice in one frozen dataclass.

One field is one flag of `keras-vae train` and one key of a run's `config.json`.
Nothing here imports TensorFlow.
"""

import dataclasses
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from keras_vae.errors import invalid_flag
from keras_vae.models import registry
from keras_vae.training import choices, defaults, rules
from keras_vae.training.options import LARGE, Options, checked, option
from keras_vae.training.run_options import RunOptions

MOST_LAYERS = 100  # of a network; a thousand are more than Keras can follow
_CONDITIONAL_PRIOR = [
    name for name, model in registry.MODELS.items() if model.conditioning.prior
]


@dataclasses.dataclass(frozen=True)
class ModelOptions(Options):
    """What is trained, and on what: the options of the data and model groups."""

    dataset: str = option(
        "digits",
        "digits, mnist, fashion_mnist, shapes, shapes32, patches, patches64, "
        "swiss_roll, motion or tones; or the path of an .npz, .npy or .csv file or of "
        "a folder of images",
        group="Data",
    )
    data_kind: str = option(
        "auto",
        "what the numbers are; auto reads three axes as grey images, two as vectors",
        choices=("auto", "images", "sequences", "vectors"),
    )
    label_column: str | None = option(
        None, "name or number of the column of a .csv file that holds the label"
    )
    drop_columns: tuple[str, ...] | None = option(
        None, "names or numbers of columns of a .csv file to leave out, as in id,date"
    )
    array_names: tuple[str, ...] | None = option(
        None,
        "what an .npz calls its arrays, as in x_train=images,y_train=labels",
    )
    features_per_step: int | None = option(
        None,
        "numbers of each step, where an example of a sequence is one line of numbers",
        minimum=1,
        maximum=LARGE,
    )
    validation_fraction: float = option(
        0.0,
        "fraction of the training data set aside for validation, to select by; 0.1 for "
        "a folder of images without a test or validation split, and where early "
        "stopping needs it",
        minimum=0,
        maximum=0.9,
    )
    binarize: str = option(
        "none",
        "make pixels 0 or 1: at one half, drawn once, or drawn afresh each time an "
        "image is used",
        choices=("none", "threshold", "static", "dynamic"),
    )
    augment: str = option(
        "none",
        "small random rotations, scalings and shifts of training images",
        choices=("none", "affine"),
    )

    model: str = option(
        "vae",
        "what is trained",
        group="Model",
        choices={name: model.about for name, model in registry.MODELS.items()},
    )
    latent_dim: int = option(20, "latent dimensions", minimum=1, maximum=10_000)
    encoder: str = option("mlp", "encoder network", choices=choices.NETWORKS)
    decoder: str | None = option(
        None,
        "decoder network; the encoder's name if not given",
        choices=choices.NETWORKS,
    )
    hidden_units: tuple[int, ...] | None = option(
        None,
        "widths of the encoder's layers, first to last, as in 500,500; the decoder has "
        "them in reverse; each network has its own default",
        minimum=1,
        maximum=8_192,
    )
    activation: str = option(
        "silu",
        "activation of the hidden layers",
        choices=("relu", "silu", "tanh", "softplus", "elu", "gelu", "leaky_relu"),
    )
    initializer: str | None = option(
        None,
        "initialiser of the weights; the network's own if not given",
        choices=choices.INITIALIZERS,
    )
    initializer_gain: float = option(
        1.0,
        "factor on the standard deviation of the weights that --initializer draws",
        above=0,
        maximum=1_000,
        only_with={"initializer": choices.INITIALIZERS},
    )
    dropout: float = option(
        0.0, "fraction of the hidden units dropped in training", minimum=0, below=1
    )
    batch_norm: bool = option(False, "batch normalisation after the hidden layers")
    layer_order: str = option(
        "standard",
        "order of the steps of a hidden layer",
        choices={
            "standard": "normalisation, activation, dropout; in both networks",
            "split": "behind the activation, normalisation in the encoder alone and "
            "dropout in the decoder alone",
        },
    )
    likelihood: str = option(
        "auto",
        "p(x|z); auto is bernoulli for grey or binarised images, "
        "discretized_logistic_mixture for 8-bit colour images from convolutions, "
        "gaussian for all else",
        choices=(
            "auto",
            "bernoulli",
            "continuous_bernoulli",
            "gaussian",
            "gaussian_fixed",
            "gaussian_per_pixel",
            "discretized_logistic",
            "discretized_logistic_mixture",
        ),
    )
    likelihood_components: int = option(
        10,
        "logistics of each pixel of discretized_logistic_mixture",
        minimum=1,
        maximum=1_000,
        only_with={"likelihood": ("discretized_logistic_mixture",)},
    )
    likelihood_scale: float = option(
        1.0,
        "standard deviation of gaussian_fixed",
        minimum=1e-6,  # squares of its inverse stay far inside float32
        maximum=LARGE,
        only_with={"likelihood": ("gaussian_fixed",)},
    )
    prior: str = option(
        "standard_normal",
        "p(z)",
        choices={
            "standard_normal": "N(0, I)",
            "gaussian_mixture": "a learned mixture of normals",
            "vamp": "a mixture of posteriors of learned pseudo-inputs",
            "flow": "N(0, I), moved by learned couplings",
            "conditional": "a normal learned for each condition "
            f"({', '.join(_CONDITIONAL_PRIOR)})",
        },
    )
    prior_components: int = option(
        100,
        "components of the prior",
        minimum=1,
        maximum=10_000,
        only_with={"prior": ("gaussian_mixture", "vamp")},
    )
    prior_flows: int = option(
        8,
        "couplings of the flow of the prior",
        minimum=1,
        maximum=1_000,
        only_with={"prior": ("flow",)},
    )
    posterior: str = option(
        "diagonal",
        "q(z|x)",
        choices={
            "diagonal": "a normal with a variance for each dimension",
            "isotropic": "a normal with one variance for all",
            "iaf": "a normal, moved by an inverse autoregressive flow "
            f"({', '.join(registry.users('posterior_flows'))})",
            "planar": "a normal, moved by planar flows (the same models)",
        },
    )
    posterior_flows: int = option(
        4,
        "steps of the flow of the posterior",
        minimum=1,
        maximum=1_000,
        only_with={"posterior": choices.FLOWS},
    )
    beta: float = option(1.0, "weight of the KL", minimum=0, maximum=LARGE)
    kl_schedule: str = option(
        "constant",
        "how the weight of the KL reaches beta: at once, in a line, or in a line again "
        "and again, with as long at the full weight after each",
        choices=("constant", "linear", "cyclical"),
    )
    kl_warmup_epochs: float = option(
        10.0,
        "epochs from nothing to the full weight of the KL",
        above=0,
        maximum=LARGE,
        only_with={"kl_schedule": ("linear", "cyclical")},
    )
    num_samples: int = option(
        1, "draws of z for each example", minimum=1, maximum=10_000
    )
    free_bits: float = option(
        0.0,
        "nats of KL that each latent dimension (hvae: each group) of each example has "
        "for nothing",
        minimum=0,
        maximum=1_000,
    )
    groups: tuple[int, ...] | None = option(
        None,
        "groups of latents of each level, from the top, as in 1,3,2: vectors, then "
        "maps whose sides double; by default as many as the data's size suggests",
        minimum=1,
        maximum=64,
    )
    group_channels: int = option(
        4, "latents at each position of a group's maps", minimum=1, maximum=512
    )
    width: int = option(
        32, "channels of the networks of a hierarchy", minimum=1, maximum=8_192
    )
    finest_stride: int = option(
        2,
        "pixels along each side for one of the finest maps of latents, a power of 2",
        minimum=1,
        maximum=64,
    )
    condition: str | None = option(
        None,
        "what a conditional model is given",
        choices={
            "label": "the class of each example",
            "vector": "the arrays condition_train and condition_test of an .npz",
            "left_half": "the left half of each image; the model completes the right",
            "right_half": "the right half",
            "top_half": "the upper half",
            "bottom_half": "the lower half",
            "mask": "a random region of each image; the model completes any region",
        },
    )
    input_noise: str = option(
        "none",
        "noise on the encoder's input in training: gaussian:0.3 (its standard "
        "deviation) or masking:0.25 (the fraction set to 0)",
    )
    gamma: float | None = option(
        None, "weight of a model's own penalty", minimum=0, maximum=LARGE
    )
    confidence: float | None = option(
        None, "probability from which an image shows a label", minimum=0, maximum=1
    )
    capacity: float | None = option(
        None, "KL in nats that is aimed for", minimum=0, maximum=LARGE
    )
    alpha: float | None = option(
        None,
        "weight of the classification (m2, m1m2) or of the information (info_vae)",
        minimum=-LARGE,
        maximum=LARGE,
    )
    estimator: str = option(
        "mws",
        "how log q(z) is estimated from a batch",
        choices={
            "mws": "minibatch-weighted sampling",
            "mss": "minibatch-stratified sampling",
        },
    )
    dip_kind: str = option(
        "ii",
        "whose covariance the DIP-VAE brings near I",
        choices={"i": "that of the posterior means", "ii": "that of z"},
    )
    joint: bool = option(
        True,
        "whether the bound trains the classifier too, as in the paper, not its labels "
        "alone",
    )
    num_labels: int | None = option(
        None,
        "labels that are used, the same number of each class; 0: all there are",
        minimum=0,
        maximum=10**9,
    )


@dataclasses.dataclass(frozen=True)
class TrainConfig(RunOptions, ModelOptions):
    """The settings of a training run.

    The constructor takes every value as it is. `TrainConfig.resolve(given)`, which the
    program uses, also applies the preset and the model's own defaults to what is not
    given, and refuses what has no effect.

    Raises:
        ValueError: If a value is of the wrong type, not finite, out of range, no known
            name or at odds with another one.
    """

    def __post_init__(self) -> None:
        """Checks each value by itself and those that depend on one another."""
        if self.decoder is None:
            object.__setattr__(self, "decoder", self.encoder)
        super().__post_init__()
        for name, default in registry.MODELS[self.model].defaults.items():
            if getattr(self, name) is None:
                raise ValueError(
                    f"--{name} must be set for --model {self.model}, as in {default}."
                )
        if self.prior == "conditional" and self.model not in _CONDITIONAL_PRIOR:
            raise ValueError(
                f"--prior conditional has no condition with --model {self.model}: set "
                f"--model {' or '.join(_CONDITIONAL_PRIOR)}, or another --prior."
            )
        if len(self.hidden_units or ()) > MOST_LAYERS:
            raise invalid_flag(
                "hidden_units",
                f"at most {MOST_LAYERS} widths",
                len(self.hidden_units or ()),
            )
        if self.posterior in choices.FLOWS:
            rules.check_flow(self.posterior, self.model, self.prior, self.init_latents)
        rules.check_array_names(self.array_names or ())
        rules.check_input_noise(self.input_noise, LARGE)
        rules.check_workers(self.workers, self.worker_index, self.virtual_devices)
        rules.check_device(self.device, self.virtual_devices)

    @property
    def data_options(self) -> dict[str, Any]:
        """The arguments of `datasets.load` besides the name."""
        named = dict(pair.split("=", 1) for pair in self.array_names or ())
        return {
            "data_kind": self.data_kind,
            "label_column": self.label_column,
            "drop_columns": self.drop_columns or (),
            "array_names": named,
            "features_per_step": self.features_per_step,
            "validation_fraction": self.validation_fraction,
            "seed": self.seed,
        }

    def likelihood_of(self, input_shape: tuple[int, ...]) -> str:
        """Returns the name of the likelihood of examples of a shape.

        Grey values may be taken as probabilities of ink. Colours are no probabilities,
        and a Bernoulli's scale of errors is not theirs.
        """
        if self.likelihood != "auto":
            return self.likelihood
        grey = len(input_shape) == 3 and input_shape[-1] == 1
        binary = len(input_shape) == 3 and self.binarize != "none"
        return "bernoulli" if grey or binary else "gaussian"

    @classmethod
    def resolve(cls, given: Mapping[str, Any]) -> Self:
        """Returns the configuration for the flags that were given, by name.

        What is not given comes from the preset, else from the model, else it is the
        default; of 8-bit colour pictures see `defaults.of_colour_pictures`. Of a preset
        only what the model uses is taken.

        Raises:
            ValueError: As the class, and if a name is unknown or if a flag that was
                given has no effect with the others.
        """
        cls.check_names(given)
        fields = {field.name: field for field in dataclasses.fields(cls)}
        preset, array_names = (
            checked(fields[name], given.get(name, fields[name].default))
            for name in ("preset", "array_names")
        )
        preset_values = choices.PRESETS[preset]
        chosen = {**preset_values, **given}
        model = checked(fields["model"], chosen.get("model", fields["model"].default))
        values = {**registry.MODELS[model].defaults_for(chosen), **chosen}
        known = {**values, "array_names": array_names}
        values = {**defaults.validation_fraction(known), **values}
        values |= defaults.of_colour_pictures(known, given)
        config = cls(**values)
        config.refuse_unused(given)
        idle = {name for name in preset_values if config.unused(name)}
        for name in idle - given.keys():
            del values[name]
        return cls(**values)

    def unused(self, name: str) -> str | None:
        """Says why the flag of this name has no effect here; None if it has one."""
        if reason := registry.MODELS[self.model].without.get(name):
            return f"--{name} has no effect with --model {self.model}: {reason}."
        users = registry.users(name)
        if users and self.model not in users:
            return (
                f"--{name} has no effect with --model {self.model}: leave it out, or "
                f"choose a model that uses it ({', '.join(users)})."
            )
        return rules.idle(name, self) or super().unused(name)

    @property
    def examples_per_update(self) -> int:
        """Training examples that make one step of the optimizer."""
        return self.batch_size * self.accumulate_steps

    @property
    def has_schedule(self) -> bool:
        """Whether a weight of the loss changes while the model is trained."""
        return self.kl_schedule != "constant" or self.capacity is not None

    @property
    def run_name(self) -> str:
        """Name of the run's folder: `<dataset>-<model>-z<latent_dim>`."""
        path = Path(self.dataset).absolute()
        stem = path.stem if path.suffix in (".npz", ".npy", ".csv") else path.name
        dataset = re.sub(r"[^\w.-]+", "_", stem).lstrip(".")[:80] or "data"
        return f"{dataset}-{self.model}-z{self.latent_dim}"

    def shared(self) -> dict[str, Any]:
        """Returns what must be the same on all workers of a job, ready for JSON."""
        content: dict[str, Any] = json.loads(self.to_json())
        for name in ("device", "worker_index", "worker_timeout"):
            del content[name]
        return content
