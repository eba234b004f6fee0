import dataclasses

import numpy as np
import pytest

from keras_vae.data import datasets
from keras_vae.data.datasets import Data, Split
from keras_vae.models.conditional import CVAE
from keras_vae.models.conditions import Half, Label, Mask, Vector
from keras_vae.training.build import build_model
from keras_vae.training.config import TrainConfig
from keras_vae.training.targets import condition_of, targets


def data_of(shape=(4, 4, 1), kind="images", y=(0, 2, 1), vectors=None) -> Data:
    x = np.random.default_rng(0).random((3, *shape), np.float32)
    labels = None if y is None else np.array(y, np.int32)
    split = Split(x, labels, condition=vectors)
    return Data("them", kind, shape, split, None, split)


def config_of(**given: object) -> TrainConfig:
    return TrainConfig.resolve({"model": "cvae", **given})


def test_a_model_without_condition_gets_nothing():
    data = data_of()
    config = TrainConfig.resolve({"model": "vae"})
    assert condition_of(config, data) is None
    assert targets(config, data.train) is None


def test_labels_are_the_default_condition():
    data = data_of()
    condition = condition_of(config_of(), data)
    assert isinstance(condition, Label) and condition.num_classes == 3
    np.testing.assert_array_equal(targets(config_of(), data.train), [0, 2, 1])
    named = dataclasses.replace(data, label_names=("a", "b", "c", "d"))
    assert condition_of(config_of(), named).num_classes == 4


def test_vectors_come_from_the_data():
    vectors = np.ones((3, 2, 5), np.float32)
    data = data_of(vectors=vectors)
    config = config_of(condition="vector")
    condition = condition_of(config, data)
    assert isinstance(condition, Vector) and condition.shape == (2, 5)
    assert targets(config, data.test) is vectors


@pytest.mark.parametrize(("name", "kind"), [("top_half", Half), ("mask", Mask)])
def test_parts_are_cut_by_the_model(name, kind):
    config = config_of(condition=name)
    assert isinstance(condition_of(config, data_of()), kind)
    assert targets(config, data_of().train) is None


@pytest.mark.parametrize(
    ("condition", "data", "message"),
    [
        ("label", {"y": None}, "no labels. Give them"),
        ("label", {"y": (0, -1, 1)}, "1 of the 3 training examples.*--model m2"),
        ("vector", {}, "condition_train and condition_test"),
        ("left_half", {"shape": (7,), "kind": "vectors"}, "holds vectors"),
        ("mask", {"shape": (7, 2), "kind": "sequences"}, "holds sequences"),
    ],
)
def test_what_the_data_do_not_hold_is_refused(condition, data, message):
    with pytest.raises(ValueError, match=message):
        condition_of(config_of(condition=condition), data_of(**data))


def test_a_learned_prior_needs_a_condition():
    with pytest.raises(ValueError, match="--model cvae"):
        TrainConfig.resolve({"model": "vae", "prior": "conditional"})


@pytest.mark.slow
@pytest.mark.parametrize(
    ("condition", "encoder"),
    [("label", "mlp"), ("left_half", "conv"), ("mask", "resnet")],
)
def test_flags_reach_every_network(condition, encoder):
    data = datasets.load("digits")
    config = config_of(
        condition=condition,
        encoder=encoder,
        prior="conditional",
        activation="tanh",
        dropout=0.1,
        latent_dim=3,
    )
    given = condition_of(config, data)
    model = build_model(config, data.input_shape, 1, given)
    assert isinstance(model, CVAE)
    layers = [
        {layer.name.split("_")[1] for layer in network.layers if "_" in layer.name}
        for network in (model.encoder, model.decoder, model.prior_network)
    ]
    assert ["dropout" in names for names in layers] == [True, True, False]
    hidden = [layer for layer in model.decoder.layers if "activation" in layer.name]
    assert hidden and all("tanh" in str(layer.activation) for layer in hidden)
    x = data.test.x if data.test is not None else data.train.x
    assert model.sample(2, condition=_one(model, x)).shape == (2, *data.input_shape)


def _one(model: CVAE, x: np.ndarray) -> np.ndarray:
    if isinstance(model.condition, Label):
        return np.int32(1)
    return model.part_of(x[:1])
