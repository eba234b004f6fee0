import dataclasses
import json
import os
import re

import numpy as np
import pytest

from keras_vae.data import named
from keras_vae.models import registry
from keras_vae.training import choices
from keras_vae.training.config import TrainConfig

FIELDS = {field.name: field for field in dataclasses.fields(TrainConfig)}


@pytest.mark.parametrize("model", registry.MODELS)
def test_every_model_resolves_with_nothing_but_its_name(model):
    config = TrainConfig.resolve({"model": model})
    for name, value in registry.MODELS[model].defaults.items():
        assert getattr(config, name) == value


def test_a_model_of_labels_has_a_heavier_kl_than_one_of_parts():
    labels = TrainConfig.resolve({"model": "cvae"})
    assert (labels.condition, labels.prior) == ("label", "conditional")
    assert labels.beta > 1.0
    half = TrainConfig.resolve({"model": "cvae", "condition": "left_half"})
    assert (half.prior, half.beta) == ("conditional", 1.0)
    given = {"model": "cvae", "prior": "standard_normal", "beta": 1.0}
    plain = TrainConfig.resolve(given)
    assert (plain.prior, plain.beta) == ("standard_normal", 1.0)


@pytest.mark.parametrize("model", registry.MODELS)
@pytest.mark.parametrize("preset", choices.PRESETS)
def test_every_preset_goes_with_every_model(model, preset):
    config = TrainConfig.resolve({"model": model, "preset": preset})
    for name, value in {**choices.PRESETS[preset], "model": model}.items():
        wanted = FIELDS[name].default if config.unused(name) else value
        assert getattr(config, name) == wanted


def test_a_preset_may_choose_the_model():
    assert TrainConfig.resolve({"preset": "sharp"}).model == "hvae"
    assert TrainConfig.resolve({"preset": "sharp", "model": "vae"}).model == "vae"


def test_tables_name_only_flags_that_exist():
    for model in registry.MODELS.values():
        assert set(model.defaults) | set(model.flags) <= set(FIELDS)
    for preset in choices.PRESETS.values():
        assert set(preset) < set(FIELDS)
    assert choices.PRESETS.keys() == choices.PRESET_LINES.keys()


def test_a_preset_fills_only_what_is_not_given():
    config = TrainConfig.resolve({"preset": "tutorial", "latent_dim": 2})
    assert config.latent_dim == 2
    assert (config.hidden_units, config.activation) == ((500, 500), "softplus")


def test_tutorial_presets_are_the_tutorials_settings():
    chainer = TrainConfig.resolve({"preset": "tutorial"})
    assert chainer.initializer == "glorot_uniform"
    assert chainer.learning_rate_schedule == "constant"
    assert (chainer.latent_dim, chainer.batch_size, chainer.epochs) == (20, 100, 100)
    pytorch = TrainConfig.resolve({"preset": "tutorial_small"})
    assert (pytorch.hidden_units, pytorch.batch_norm) == ((20,), True)
    assert (pytorch.latent_dim, pytorch.batch_size, pytorch.epochs) == (10, 1000, 20)


def test_a_preset_leaves_out_what_the_model_does_not_use():
    assert TrainConfig.resolve({"preset": "sharp"}).kl_schedule == "linear"
    config = TrainConfig.resolve({"preset": "sharp", "model": "ae"})
    assert (config.kl_schedule, config.epochs) == ("constant", 20)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"model": "ae", "beta": 2.0}, "--beta has no effect with --model ae"),
        ({"gamma": 3.0}, "choose a model that uses it .*factor_vae"),
        ({"kl_warmup_epochs": 5}, "--kl_schedule to linear or cyclical"),
        ({"prior_components": 5}, "--prior to gaussian_mixture or vamp"),
        ({"prior_flows": 5}, "--prior to flow"),
        ({"posterior_flows": 5}, "--posterior to iaf or planar"),
        ({"model": "wae", "posterior_flows": 5}, "vae, iwae, beta_vae, cvae"),
        ({"jit_compile": True, "deterministic": True}, "leave one of them out"),
        ({"layer_order": "split"}, "without --batch_norm and --dropout"),
        ({"likelihood_scale": 0.1}, "--likelihood to gaussian_fixed"),
        ({"likelihood_components": 5}, "--likelihood to discretized_logistic_mixture"),
        (
            {"strategy": "one_device", "virtual_devices": 2},
            "--strategy to auto or mirrored",
        ),
    ],
)
def test_a_flag_without_effect_is_refused_and_the_way_out_is_said(given, message):
    with pytest.raises(ValueError, match=message):
        TrainConfig.resolve(given)


@pytest.mark.parametrize(
    "given",
    [
        {"kl_schedule": "linear", "kl_warmup_epochs": 5},
        {"prior": "vamp", "prior_components": 5},
        {"prior": "flow", "prior_flows": 5, "posterior": "iaf", "posterior_flows": 2},
        {"model": "cvae", "posterior": "planar"},
        {"likelihood": "gaussian_fixed", "likelihood_scale": 0.1},
        {"virtual_devices": 2},
        {"model": "factor_vae", "gamma": 3},
        {"model": "ae", "input_noise": "masking:0.25"},
    ],
)
def test_a_flag_with_effect_is_taken(given):
    config = TrainConfig.resolve(given)
    for name, value in given.items():
        wanted = tuple(value) if isinstance(value, list) else value
        assert getattr(config, name) == wanted


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"latent_dim": 0}, "--latent_dim: expected an integer, at least 1"),
        ({"beta": float("nan")}, "--beta: expected a finite number"),
        ({"posterior": "iaf", "model": "ae"}, "--posterior iaf is no.*--model vae"),
        ({"posterior": "iaf", "prior": "vamp"}, "--prior vamp.*--posterior iaf"),
        ({"posterior": "planar", "init_latents": "isomap"}, "--init_latents isomap"),
        ({"binarize": "dynamc"}, "Did you mean 'dynamic'"),
        ({"input_noise": "gaussian"}, "--input_noise: expected none, gaussian:S"),
        ({"input_noise": "masking:1"}, "--input_noise: expected"),
        ({"device": "gpu:one"}, "--device: expected auto, cpu, gpu"),
        ({"device": "gpu", "virtual_devices": 2}, "--virtual_devices"),
        ({"model": "factor_vae"}, "--gamma must be set for --model factor_vae"),
    ],
)
def test_values_that_cannot_be_are_refused(values, message):
    with pytest.raises(ValueError, match=message):
        TrainConfig(**values)


def test_early_stopping_sets_data_aside_unless_told_how_much():
    assert TrainConfig.resolve({}).validation_fraction == 0
    stopping = {"early_stopping_patience": 3}
    assert TrainConfig.resolve(stopping).validation_fraction == 0.1
    given = {**stopping, "validation_fraction": 0.2}
    assert TrainConfig.resolve(given).validation_fraction == 0.2


def images_below(folder, count=10):
    folder.mkdir(parents=True)
    for index in range(count):
        (folder / f"{index}.png").touch()
    return str(folder)


def test_a_folder_without_a_held_out_part_gets_one_by_default(tmp_path):
    flat, few = images_below(tmp_path / "flat"), images_below(tmp_path / "few", 9)
    classes = tmp_path / "classes"
    for name in ("train", "cat", "test"):  # not all of them are parts
        images_below(classes / name)
    split = tmp_path / "split"
    for name in ("train", "test"):
        images_below(split / name)
    fractions = {
        path: TrainConfig.resolve({"dataset": str(path)}).validation_fraction
        for path in (flat, few, classes, split, tmp_path / "none")
    }
    assert list(fractions.values()) == [0.1, 0, 0.1, 0, 0]
    asked = {"dataset": flat, "validation_fraction": 0.0}
    assert TrainConfig.resolve(asked).validation_fraction == 0


@pytest.mark.parametrize("name", choices.DATASETS)
def test_a_dataset_of_a_name_is_no_folder(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    images_below(tmp_path / name)
    assert TrainConfig.resolve({"dataset": name}).validation_fraction == 0


def test_early_stopping_takes_the_validation_part_that_is_there(tmp_path):
    x = np.zeros((4, 2), np.float32)
    for name, arrays in (("a", {"x_validation": x}), ("b", {"x_test": x, "own": x})):
        np.savez(tmp_path / f"{name}.npz", x_train=x, **arrays)
    named = {"array_names": ("x_validation=own",)}
    fractions = [
        TrainConfig.resolve(
            {"dataset": str(tmp_path / name), "early_stopping_patience": 3, **more}
        ).validation_fraction
        for name, more in (("a.npz", {}), ("b.npz", {}), ("b.npz", named))
    ]
    assert fractions == [0, 0.1, 0]


def test_the_decoder_is_of_the_encoders_kind_unless_given():
    assert TrainConfig(encoder="conv").decoder == "conv"
    assert TrainConfig(encoder="conv", decoder="mlp").decoder == "mlp"


def test_json_round_trip_is_equal_and_has_a_key_for_each_flag():
    config = TrainConfig.resolve(
        {"hidden_units": (5, 4), "dataset": "größe.npz", "learning_rate": 1 / 3}
    )
    text = config.to_json(environment={"keras": "3"})
    assert set(json.loads(text)) == {*FIELDS, "environment"}
    assert TrainConfig.from_json(text) == config


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("[]", "not a JSON object"),
        ('{"latent_dmi": 2}', "Did you mean 'latent_dim'"),
        ('{"latent_dim": "2"}', "--latent_dim: expected an integer"),
        ('{"beta": NaN}', "--beta: expected a finite number"),
    ],
)
def test_a_configuration_that_is_none_is_refused(text, message):
    with pytest.raises(ValueError, match=message):
        TrainConfig.from_json(text)


def test_differences_name_what_makes_another_run():
    mine = TrainConfig(epochs=5, seed=1)
    elsewhere = dataclasses.replace(mine, output_dir="x", overwrite=True)
    assert mine.differences(elsewhere) == {}
    assert mine.differences(TrainConfig(epochs=6, seed=1)) == {"epochs": (5, 6)}


@pytest.mark.parametrize(
    ("dataset", "name"),
    [
        ("digits", "digits-vae-z3"),
        ("data/mnist10k.npz", "mnist10k-vae-z3"),
        ("my photos.v2/", "my_photos.v2-vae-z3"),
        ("größe.csv", "größe-vae-z3"),
        ("..", None),
        ("/", "data-vae-z3"),
        ("a" * 300, "a" * 80 + "-vae-z3"),
    ],
)
def test_the_run_is_named_after_data_model_and_latents(dataset, name):
    run_name = TrainConfig(dataset=dataset, latent_dim=3).run_name
    assert os.sep not in run_name
    assert not run_name.startswith(".")
    assert name in (None, run_name)


def test_choices_are_the_tables_of_the_package():
    from keras_vae import networks
    from keras_vae.engine.strategies import STRATEGIES
    from keras_vae.probability.likelihoods import LIKELIHOODS

    def choices_of(name):
        return set(FIELDS[name].metadata["choices"])

    assert choices_of("encoder") == set(networks.ENCODERS)
    assert choices_of("decoder") == set(networks.DECODERS)
    assert choices_of("likelihood") == {"auto", *LIKELIHOODS}
    assert choices_of("strategy") >= set(STRATEGIES)


def test_nothing_here_imports_tensorflow_keras_or_numpy(run_python):
    heavy = "{'tensorflow', 'keras', 'numpy'} & set(sys.modules)"
    code = f"import sys, keras_vae.training.config; print({heavy})"
    assert run_python("-c", code).stdout == "set()\n"


def test_help_names_every_dataset():
    words = re.findall(r"\w+", FIELDS["dataset"].metadata["help"])
    assert set(named.DATASETS) <= set(words)
