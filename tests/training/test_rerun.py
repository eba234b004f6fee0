"""The command that trains a run again."""

import shlex

import pytest

from keras_vae.cli import flags
from keras_vae.models import registry
from keras_vae.training.config import TrainConfig
from keras_vae.training.rerun import training_command


@pytest.mark.parametrize(
    "given",
    [
        *({"model": name} for name in registry.MODELS),
        {"model": "hvae", "epochs": 3, "groups": (2, 2)},
        {"beta": 2.0, "hidden_units": (64, 32), "encoder": "conv"},
        {"preset": "sharp", "deterministic": True, "weight_average": 0.0},
        {"model": "cvae", "condition": "label", "prior": "conditional"},
        {"dataset": "my data.npz", "array_names": ("x_train=a", "y_train=b")},
    ],
    ids=str,
)
def test_it_gives_the_same_configuration(given):
    config = TrainConfig.resolve(given)
    words = shlex.split(training_command(config))
    start = next(k for k, word in enumerate(words) if word.startswith("--"))
    again = TrainConfig.resolve(flags.parse(TrainConfig, words[start - 1 :]))
    assert again == config


def test_it_says_what_is_no_default_and_shapes_the_result():
    config = TrainConfig.resolve({"seed": 3, "output_dir": "there", "device": "cpu"})
    words = shlex.split(training_command(config))
    assert words[-4:] == ["--dataset", "digits", "--seed", "3"]


def test_a_configuration_that_was_made_otherwise_has_a_command_too():
    config = TrainConfig(gamma=9.0, latent_dim=7)  # gamma is of another model
    words = shlex.split(training_command(config))
    assert "--latent_dim" in words and "--gamma" not in words
