import dataclasses

import numpy as np
import pytest

import keras_vae
from keras_vae.data.datasets import Data, Split
from keras_vae.training import adjustment
from keras_vae.training.config import TrainConfig


def data(x, kind="images"):
    return Data("mine", kind, x.shape[1:], Split(x), None, None)


GREY = data(np.random.default_rng(0).random((30, 4, 4, 1), np.float32))
VECTORS = data(np.zeros((30, 4), np.float32), "vectors")


def fitted(config, on, *explicit):
    notes = []
    result = adjustment.adjusted(config, frozenset(explicit), on, notes.append)
    return result, notes


def test_a_batch_larger_than_the_data_is_lowered_with_a_note():
    config, notes = fitted(TrainConfig(batch_size=100), GREY)
    assert config.batch_size == 30
    assert len(notes) == 1
    assert "batches hold 30 examples" in notes[0]


def test_a_batch_size_that_was_asked_for_is_refused_instead():
    with pytest.raises(ValueError, match="--batch_size"):
        fitted(TrainConfig(batch_size=31), GREY, "batch_size")
    assert fitted(TrainConfig(batch_size=30), GREY, "batch_size")[0].batch_size == 30


def test_what_is_held_out_without_being_asked_for_is_said():
    aside = dataclasses.replace(GREY, validation=GREY.train)
    config = TrainConfig(batch_size=10, validation_fraction=0.1)
    (note,) = fitted(config, aside)[1]
    assert "30 examples are held out" in note
    assert fitted(config, aside, "validation_fraction")[1] == []


def test_early_stopping_is_refused_without_data_to_select_by():
    config = TrainConfig(batch_size=10, early_stopping_patience=3)
    with pytest.raises(ValueError, match="--validation_fraction"):
        fitted(config, GREY)
    fitted(config, dataclasses.replace(GREY, validation=GREY.train))


@pytest.mark.parametrize(
    ("shape", "given", "likelihood"),
    [
        ((8, 8, 1), {}, "bernoulli"),
        ((8, 8, 3), {}, "gaussian"),
        ((8, 8, 3), {"binarize": "threshold"}, "bernoulli"),
        ((8, 8, 3), {"likelihood": "bernoulli"}, "bernoulli"),
        ((8,), {}, "gaussian"),
    ],
)
def test_the_automatic_likelihood_fits_the_data(shape, given, likelihood):
    assert TrainConfig(**given).likelihood_of(shape) == likelihood


def test_a_note_says_which_likelihood_colours_have():
    colour = data(np.zeros((30, 4, 4, 3), np.uint8))
    config = TrainConfig(batch_size=10)
    assert "gaussian" in fitted(config, colour)[1][0]
    chosen = TrainConfig(batch_size=10, likelihood="bernoulli")
    assert fitted(chosen, colour)[1] == []


def test_what_colour_pictures_were_given_is_said_in_one_line():
    colour = data(np.zeros((30, 4, 4, 3), np.uint8))
    chosen = {"dataset": "patches", "epochs": 1, "batch_size": 10}
    (note,) = fitted(TrainConfig.resolve(chosen), colour, *chosen)[1]
    assert "30 colour pictures of 4x4x3" in note
    assert "--encoder conv --latent_dim 64" in note
    assert "--epochs" not in note and "\n" not in note


def test_only_images_are_augmented():
    config = TrainConfig(augment="affine", batch_size=10)
    assert fitted(config, GREY, "augment") == (config, [])
    with pytest.raises(ValueError, match="--augment affine: only images .*vectors"):
        fitted(config, VECTORS, "augment")
    lowered, notes = fitted(config, VECTORS)  # a preset asked for it
    assert lowered.augment == "none"
    assert len(notes) == 1


def check(x, likelihood, **given):
    model = keras_vae.VAE(2, x.shape[1:], likelihood=likelihood, seed=0)
    adjustment.check_examples(TrainConfig(**given), data(x), model)


def test_examples_that_the_likelihood_cannot_explain_are_refused():
    check(GREY.train.x, "bernoulli")
    with pytest.raises(ValueError, match="divide by 255"):
        check(GREY.train.x * 255, "bernoulli")


def test_a_likelihood_of_grey_values_is_refused_for_binarised_ones():
    check(GREY.train.x, "continuous_bernoulli")
    with pytest.raises(ValueError, match="take Bernoulli"):
        check(GREY.train.x, "continuous_bernoulli", binarize="dynamic")


def test_what_is_binarised_lies_between_0_and_1():
    check(GREY.train.x, "gaussian", binarize="static")
    with pytest.raises(ValueError, match=r"must lie in \[0, 1\]"):
        check(GREY.train.x * 3, "gaussian", binarize="static")
