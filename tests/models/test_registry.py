"""The table of models, and what it says of each held against the model itself."""

import inspect
import re
from pathlib import Path

import numpy as np
import pytest

import keras_vae
from keras_vae import testing
from keras_vae.models import registry
from keras_vae.models.conditions import make_condition
from keras_vae.training.build import build_model
from keras_vae.training.config import TrainConfig

SHAPES = {"images": (8, 8, 1), "sequences": (6, 2), "vectors": (5,)}
SMALL = {
    **{"encoder": "mlp", "decoder": "mlp", "hidden_units": (4,), "latent_dim": 2},
    **{"likelihood": "gaussian", "seed": 3},
}
CLASSES = 3
Y = np.arange(6) % CLASSES
models = pytest.mark.parametrize("name", registry.MODELS)


def made(name, kind="vectors"):
    """Returns the model of a run, and what its examples are conditioned on."""
    without = registry.MODELS[name].without
    small = {flag: value for flag, value in SMALL.items() if flag not in without}
    config = TrainConfig.resolve({"model": name, **small})
    if config.condition is None:
        return build_model(config, SHAPES[kind], 30), None
    condition = make_condition(config.condition, SHAPES[kind], num_classes=CLASSES)
    return build_model(config, SHAPES[kind], 30, condition), Y


def examples(kind="vectors"):
    return np.random.default_rng(0).random((6, *SHAPES[kind]), np.float32)


def refuses(call):
    try:
        call()
    except ValueError:
        return True
    return False


def test_reading_the_table_imports_no_tensorflow_keras_or_numpy(run_python):
    heavy = "{'tensorflow', 'keras', 'numpy'} & set(sys.modules)"
    code = f"import sys, keras_vae.models.registry; print({heavy})"
    assert run_python("-c", code).stdout == "set()\n"


@models
def test_the_class_is_a_public_name_with_the_arguments_that_flags_become(name):
    entry = registry.MODELS[name]
    assert getattr(keras_vae, entry.class_name) is entry.load()
    assert entry.class_name in keras_vae.__all__
    arguments = {
        argument
        for kind in entry.load().__mro__
        for argument in inspect.signature(kind.__init__).parameters
    } - set(getattr(entry.load(), "unused", ()))
    assert {a for a in entry.flags.values() if a} | {*entry.from_data} <= arguments


@models
def test_a_model_is_made_for_each_of_its_kinds_of_data(name):
    for kind in registry.MODELS[name].kinds:
        model, given = made(name, kind)
        assert type(model) is registry.MODELS[name].load()
        model.ensure_built()  # which calls all of its networks
        assert model.built and (given is None) == (model.condition_spec is None)


def test_other_kinds_of_data_are_refused(monkeypatch):
    entry = registry.MODELS["vae"]._replace(kinds=("images", "sequences"))
    monkeypatch.setitem(registry.MODELS, "vae", entry)
    with pytest.raises(ValueError, match="--model vae"):
        made("vae", "vectors")


@models
def test_what_the_table_excuses_is_refused_and_nothing_else(name):
    model, y = made(name, "images")
    given = {} if y is None else {"condition": y}
    refused = {
        "prior": refuses(lambda: model.sample(6, seed=1, **given)),
        "microbatches": refuses(lambda: model.compile("adam", accumulate_steps=2)),
        "xla": refuses(lambda: model.compile("adam", jit_compile=True)),
    }
    excused = set(registry.MODELS[name].excused)
    assert {key for key, value in refused.items() if value} == excused & refused.keys()
    assert excused <= {*testing.CLAUSES, "prior"}


@pytest.mark.slow
def test_no_excuse_is_without_need():
    # Without it the contract, which the others keep, would be broken.
    for name, entry in registry.MODELS.items():
        model, y = made(name)
        if "elbo" in entry.excused:
            assert refuses(lambda model=model: model.elbo(examples()))
        if "sum" in entry.excused:
            found = model.evaluate(examples(), y, verbose=0, return_dict=True)
            total = found["reconstruction_loss"] + found["kl_loss"]
            assert found["loss"] != pytest.approx(total, rel=1e-4)


def test_the_page_of_models_has_a_line_and_a_command_for_each():
    page = Path(__file__).parents[2] / "docs" / "models.md"
    table = page.read_text().split("\n## ")[0]
    lines = re.findall(r"^\| `(\w+)` \| `(\w+)", table, re.M)
    assert dict(lines) == {
        name: entry.class_name for name, entry in registry.MODELS.items()
    }
    commands = set(re.findall(r"^python .*--model (\w+)", page.read_text(), re.M))
    assert commands == set(registry.MODELS)
