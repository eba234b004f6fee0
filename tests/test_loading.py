"""Models from files: all that a file can hold is read by a fresh process."""

import ast
import dataclasses
import itertools
import json
import re
import zipfile
from pathlib import Path

import keras
import numpy as np
import pytest

import keras_vae
from keras_vae import VAE, networks
from keras_vae.evaluation.samplers import fit_density
from keras_vae.models import registry
from keras_vae.models.conditions import make_condition
from keras_vae.networks.noise import KINDS
from keras_vae.training.build import build_model
from keras_vae.training.config import TrainConfig

PACKAGE = Path(keras_vae.__file__).parent
SMALL = {"latent_dim": 2, "hidden_units": (4,), "seed": 3}
OPTIONS = {f.name: f.metadata["choices"] for f in dataclasses.fields(TrainConfig)}

# Flags whose choices go together in any way: a model of each of their columns.
FREE = (
    *("encoder", "decoder", "activation", "initializer", "likelihood", "posterior"),
    *("kl_schedule", "learning_rate_schedule", "mixed_precision"),
)
# Flags whose choices need another, and that other.
BOUND = {
    "condition": {"model": "cvae"},
    "dip_kind": {"model": "dip_vae"},
    "estimator": {"model": "beta_tcvae"},
    "layer_order": {"batch_norm": True, "dropout": 0.2},
    "model": {},
    "prior": {},
}
# Flags that take numbers, with what they need.
HVAE = {"model": "hvae", "width": 4}
NUMBERS = {
    "alpha": {"alpha": 0.5, "model": "info_vae"},
    "batch_norm": {"batch_norm": True},
    "beta": {"beta": 2.0},
    "capacity": {"capacity": 3.0, "model": "capacity_vae"},
    "confidence": {"confidence": 0.8, "model": "m2"},
    "dropout": {"dropout": 0.2},
    "free_bits": {"free_bits": 0.1},
    "gamma": {"gamma": 3.0, "model": "dip_vae"},
    "initializer_gain": {"initializer": "he_normal", "initializer_gain": 0.5},
    "finest_stride": {**HVAE, "finest_stride": 1, "initializer": "he_normal"},
    "group_channels": {**HVAE, "group_channels": 2, "condition": "label"},
    "groups": {**HVAE, "groups": (1, 1), "dropout": 0.2, "batch_norm": True},
    "width": {**HVAE, "initializer": "orthogonal", "initializer_gain": 2.0},
    "joint": {"joint": False, "model": "m2"},
    "likelihood_components": {
        "likelihood_components": 3,
        "likelihood": "discretized_logistic_mixture",
    },
    "likelihood_scale": {"likelihood_scale": 0.5, "likelihood": "gaussian_fixed"},
    "num_samples": {"num_samples": 2},
    "prior_components": {"prior_components": 3, "prior": "vamp"},
    "prior_flows": {"prior_flows": 2, "prior": "flow"},
    "posterior_flows": {"posterior_flows": 2, "posterior": "iaf"},
}
# Flags of the model's group that are in the rows of all, or no part of a model.
ELSEWHERE = {"latent_dim", "hidden_units", "input_noise", "kl_warmup_epochs"}
ELSEWHERE |= {"num_labels"}

# Classes that no file names, since their base or their model makes them.
MADE_BY_MODELS = {
    "keras_vae>AffineCoupling",
    "keras_vae>AutoregressiveNetwork",
    "keras_vae>InverseAutoregressiveFlow",
    "keras_vae>MaskedDense",
    "keras_vae>PlanarFlow",
    "keras_vae>Prior",
    "keras_vae>ConditionalNormal",
    "keras_vae>PositionBias",
    "keras_vae>UpsampleConv",
    "keras_vae>WholeGradientAdam",
}


def flags_of_models():
    """Returns the flags of every model that is tried, by a name."""
    columns = itertools.zip_longest(*(OPTIONS[name] for name in FREE))
    table = {}
    for number, column in enumerate(columns):
        given = dict(zip(FREE, column, strict=True))
        table[f"choices {number}"] = {k: v for k, v in given.items() if v is not None}
    for name, beside in BOUND.items():
        for value in OPTIONS[name]:
            table[f"{name} {value}"] = {**beside, name: value}
    for kind in KINDS:
        table[f"input_noise {kind}"] = {"input_noise": f"{kind}:0.25"}
    return table | NUMBERS


FLAGS = flags_of_models()


def made(flags):
    """Returns the model of a run with these flags, and conditions for 4 examples."""
    without = registry.MODELS[flags.get("model", "vae")].without
    flags = {**SMALL, **flags}
    flags = {flag: value for flag, value in flags.items() if flag not in without}
    shape = (8, 8, 1)
    if "conv1d" in (flags.get("encoder"), flags.get("decoder")):
        flags, shape = {**flags, "encoder": "conv1d", "decoder": "conv1d"}, (8, 3)
    if flags.get("prior") in ("gaussian_mixture", "vamp"):
        flags["prior_components"] = 3
    if flags.get("prior") == "conditional":
        flags["model"] = "cvae"
    config = TrainConfig.resolve(flags)
    if config.condition is None:
        return build_model(config, shape, 100), None
    given = {"label": {"num_classes": 3}, "vector": {"shape": (2,)}}
    condition = make_condition(
        config.condition, shape, **given.get(config.condition, {})
    )
    rows = np.ones((4, *condition.shape), condition.dtype)
    return build_model(config, shape, 100, condition), rows


def by_hand():
    """Yields models that no flags make: a name, the model, its conditions."""
    shape, options = (8, 8, 1), {"hidden_units": (4,), "normalization": "layer"}
    vae = VAE(
        2,
        shape,
        encoder=networks.mlp_encoder(shape, 2, **options),
        decoder=networks.conv_decoder(2, shape, **options),
    )
    z = np.random.default_rng(0).normal(size=(20, 2))
    vae.set_aggregate(fit_density(z, 2))
    yield "layer normalisation and a density", vae, None


def answers(model, given, measured):
    """Returns examples and latents, and what a model says of them, by name.

    The metrics too, if they are to be `measured`.
    """
    shape = model.data_shape
    x = np.linspace(0, 1, 4 * np.prod(shape), dtype=np.float32).reshape(4, *shape)
    z = np.linspace(-1, 1, 4 * model.latent_dim, dtype=np.float32).reshape(4, -1)
    rows = {} if given is None else {"condition": given}
    mean, log_var = model.posterior(x, **rows)
    decoded = model.decode(z, **rows)
    found = {"x": x, "z": z, "mean": mean, "log_var": log_var, "decoded": decoded}
    if measured:
        found |= model.evaluate(x, given, 3, verbose=0, return_dict=True)
    return found if given is None else {**found, "given": given}


CHILD = """
import json, pathlib
import numpy as np
import keras_vae

wrong = {}
for path in sorted(pathlib.Path().glob("*.keras")):
    expected = np.load(path.with_suffix(".npz"))
    try:
        model = keras_vae.load_model(path)
        rows = {"condition": expected["given"]} if "given" in expected else {}
        mean, log_var = model.posterior(expected["x"], **rows)
        found = {"mean": mean, "log_var": log_var}
        found["decoded"] = model.decode(expected["z"], **rows)
        if "loss" in expected:
            y = rows.get("condition")
            found |= model.evaluate(expected["x"], y, 3, verbose=0, return_dict=True)
        for name in expected.keys() - {"x", "z", "given"}:
            np.testing.assert_allclose(
                found[name], expected[name], rtol=1e-5, atol=1e-5, err_msg=name
            )
        if model.compiled:
            assert all(optimizer.built for optimizer in model.optimizers)
    except Exception as error:
        wrong[path.stem] = repr(error)[:300]
print(json.dumps(wrong))
"""


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A folder with the file of every model, and what it is to answer."""
    folder = tmp_path_factory.mktemp("models")
    models = [(name, *made(flags)) for name, flags in FLAGS.items()]
    for name, model, given in [*models, *by_hand()]:
        model.save(folder / f"{name}.keras")
        measured = name.startswith("model ")
        np.savez(folder / f"{name}.npz", **answers(model, given, measured))
    return folder


def registered_in_the_sources():
    """Returns the classes that this package registers with Keras."""
    return {
        f"keras_vae>{node.name}"
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ClassDef)
        and any("register_keras" in ast.unparse(d) for d in node.decorator_list)
    }


@pytest.mark.slow
def test_every_class_that_a_file_can_name_is_registered_before_loading(run_forked):
    code = (
        "import json, keras_vae.loading as l; l.register();"
        "import keras; print(json.dumps(list(keras.saving.get_custom_objects())))"
    )
    found = run_forked("-c", code)
    assert found.returncode == 0, found.stderr
    assert registered_in_the_sources() <= set(json.loads(found.stdout))


def test_every_flag_of_the_model_is_tried():
    fields = dataclasses.fields(TrainConfig)
    groups = itertools.accumulate(
        (field.metadata["group"] for field in fields),
        lambda group, own: own or group,
    )
    flags = {
        field.name
        for field, group in zip(fields, groups, strict=True)
        if group == "Model"
    }
    assert flags - ELSEWHERE <= {*FREE, *BOUND, *NUMBERS}


@pytest.mark.slow
def test_every_class_is_in_some_file(saved):
    named = set()
    for path in saved.glob("*.keras"):
        config = zipfile.ZipFile(path).read("config.json").decode()
        named |= set(re.findall(r'"registered_name": "(keras_vae>\w+)"', config))
    assert registered_in_the_sources() - MADE_BY_MODELS == named


@pytest.mark.slow
def test_a_fresh_process_loads_every_model_and_gets_the_same_of_it(saved, run_forked):
    code = f"import os; os.chdir({str(saved)!r}){CHILD}"
    found = run_forked("-c", code, timeout=600)
    assert found.returncode == 0, found.stderr
    assert json.loads(found.stdout.splitlines()[-1]) == {}


# What cannot be loaded


class Doubled(keras.layers.Layer):
    """A layer that is not registered."""

    def call(self, x):
        return 2 * x


@pytest.mark.slow
def test_networks_of_keras_layers_load_where_the_package_is_not(tmp_path, run_python):
    made = {
        name: networks.ENCODERS[name](shape, 2)
        for name, shape in {"mlp": (4,), "resmlp": (4,), "conv": (8, 8, 1)}.items()
    }
    made["decoder"] = networks.mlp_decoder(2, (4,))
    for name, network in made.items():
        network.save(tmp_path / f"{name}.keras")
    program = """
import sys
import keras
for path in sys.argv[1:]:
    keras.models.load_model(path)
assert "keras_vae" not in sys.modules
"""
    paths = sorted(tmp_path.iterdir())
    plain = run_python("-c", program, *paths)
    assert plain.returncode == 0, plain.stderr


@pytest.fixture
def own(tmp_path):
    """The file of a model with a class of the user's."""
    x = keras.Input((5,))
    doubled = Doubled(name="doubled")(x)
    encoder = keras.Model(x, [keras.layers.Dense(2)(doubled) for _ in "ab"])
    options = {"hidden_units": (4,)}
    decoder = networks.mlp_decoder(2, (5,), **options)
    model = VAE(2, (5,), encoder=encoder, decoder=decoder, likelihood="gaussian")
    model.save(tmp_path / "own.keras")
    return model, tmp_path / "own.keras"


def sentence(path, **options):
    with pytest.raises(ValueError) as caught:
        keras_vae.load_model(path, **options)
    text = str(caught.value)
    assert "\n" not in text and text.endswith(".")
    return text


def test_a_class_of_the_users_is_given_by_name(own):
    model, path = own
    loaded = keras_vae.load_model(path, custom_objects={"Doubled": Doubled})
    x = np.ones((2, 5), np.float32)
    np.testing.assert_allclose(loaded.encode(x), model.encode(x), atol=1e-6)


def test_a_class_that_is_not_known_is_named_and_called_no_damage(own):
    text = sentence(own[1])
    assert "Doubled" in text and "custom_objects" in text and "damaged" not in text


@pytest.mark.parametrize("wrong", [[Doubled], Doubled, "Doubled"])
def test_custom_objects_are_a_dictionary(own, wrong):
    assert "`custom_objects`" in sentence(own[1], custom_objects=wrong)


def test_code_in_a_file_is_refused_as_such(tmp_path):
    x = keras.Input((5,))
    twice = keras.layers.Lambda(lambda x: 2 * x, output_shape=(5,))(x)
    encoder = keras.Model(x, [keras.layers.Dense(2)(twice) for _ in "ab"])
    decoder = networks.mlp_decoder(2, (5,), hidden_units=())
    model = VAE(2, (5,), encoder=encoder, decoder=decoder, likelihood="gaussian")
    model.save(tmp_path / "code.keras")
    text = sentence(tmp_path / "code.keras")
    assert "code" in text and "Lambda" in text and "damaged" not in text


def test_the_folder_of_a_run_stands_for_its_model(own):
    _, path = own
    path.rename(path.with_name("model.keras"))
    loaded = keras_vae.load_model(path.parent, custom_objects={"Doubled": Doubled})
    assert loaded.latent_dim == 2


def test_what_is_not_there_is_said_not_to_be_there(tmp_path):
    assert "not there" in sentence(tmp_path / "gone.keras")
    assert "folder" in sentence(tmp_path)
    (tmp_path / "model.h5").write_bytes(b"")
    assert "ends in .keras" in sentence(tmp_path / "model.h5")
