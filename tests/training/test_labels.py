import dataclasses

import numpy as np
import pytest

import keras_vae
from keras_vae.data.datasets import Data, Split
from keras_vae.training import labels
from keras_vae.training.config import TrainConfig


def config(**given):
    return TrainConfig.resolve({"model": "m2", **given})


def data(y):
    n = 30
    split = Split(np.zeros((n, 4, 4, 1), np.uint8), y)
    return Data("stripes", "images", (4, 4, 1), split, None, split)


Y = (np.arange(30) % 3).astype(np.int32)


def test_the_same_number_of_each_class_keeps_its_label():
    kept = labels.few_labels(config(num_labels=12), data(Y)).train.y
    assert np.bincount(kept[kept >= 0]).tolist() == [4, 4, 4]
    np.testing.assert_array_equal(kept[kept >= 0], Y[kept >= 0])
    assert (kept == labels.NO_LABEL).sum() == 18


def test_the_seed_chooses_which_labels_are_kept():
    chosen = [
        labels.few_labels(config(num_labels=6, seed=seed), data(Y)).train.y
        for seed in (0, 0, 1)
    ]
    np.testing.assert_array_equal(chosen[0], chosen[1])
    assert (chosen[0] != chosen[2]).any()


def test_the_test_part_keeps_all_labels():
    few = labels.few_labels(config(num_labels=3), data(Y))
    np.testing.assert_array_equal(few.test.y, Y)


def test_zero_keeps_all_labels_there_are():
    y = np.where(np.arange(30) < 5, Y, labels.NO_LABEL)
    assert labels.few_labels(config(num_labels=0), data(y)).train.y is y


def test_other_models_get_the_data_as_they_are():
    given = data(None)
    assert labels.few_labels(TrainConfig(), given) is given
    assert labels.examples_of_epoch(TrainConfig(), given.train) == 30


def test_an_epoch_shows_labelled_examples_again():
    few = labels.few_labels(config(num_labels=3), data(Y)).train
    rows = keras_vae.M2(2, (4,), num_classes=3).rows_of_epoch(few.y)
    assert labels.examples_of_epoch(config(num_labels=3), few) == len(rows) == 36
    assert (few.y[rows] >= 0).mean() == 0.25


@pytest.mark.parametrize(
    ("y", "num_labels", "message"),
    [
        (None, 3, "have no labels"),
        (np.full(30, -1), 3, "have no labels"),
        (Y, 10, "expected a multiple of 3"),
        (Y, 2, "expected a multiple of 3"),
        (Y, 33, "has only 10 training examples with the label 0"),
    ],
)
def test_labels_that_are_not_there_are_refused(y, num_labels, message):
    with pytest.raises(ValueError, match=message):
        labels.few_labels(config(num_labels=num_labels), data(y))


def test_examples_with_a_label_missing_are_conditioned_on_none():
    assert labels.all_known(None) is None
    assert labels.all_known(np.array([0, -1])) is None
    assert labels.all_known(Y) is Y
    vectors = -np.ones((3, 2), np.float32)
    assert labels.all_known(vectors) is vectors


def test_m2_has_a_condition_that_cannot_be_changed():
    assert config().condition == "label"
    with pytest.raises(ValueError, match="--condition"):
        config(condition="left_half")
    assert dataclasses.replace(config(), seed=1).condition == "label"
