import keras
import numpy as np
import pytest

from keras_vae import VAE
from keras_vae.data import motion
from keras_vae.data.datasets import Data, Split
from keras_vae.models.conditional import CVAE
from keras_vae.training import pictures


@pytest.fixture(scope="module")
def data() -> Data:
    arrays = motion.motion(train=40, test=20)
    train, test = (
        Split(arrays[f"x_{part}"], arrays[f"y_{part}"].astype(np.int32))
        for part in ("train", "test")
    )
    return Data("motion", "sequences", (64, 2), train, None, test, motion.FIGURES)


@pytest.mark.parametrize("told", [False, True])
def test_the_pens_paths_are_drawn_for_models_told_the_figure_or_not(
    data: Data, told: bool
) -> None:
    keras.utils.set_random_seed(0)
    options = {"likelihood": "gaussian", "seed": 0}
    if told:
        model = CVAE(2, (64, 2), condition="label", num_classes=5, **options)
    else:
        model = VAE(2, (64, 2), **options)
    model.adapt(data.train.x, data.train.y if told else None)
    picture = pictures.drawn_figures(model, data)
    height, width, channels = picture.shape
    assert channels == 3 and 2.5 < width / height < 3.5  # three rows of ten
    assert (picture.min(axis=-1) < 150).any()
    # Other weights draw other reconstructions, walks and samples.
    keras.utils.set_random_seed(1)
    for weight in model.decoder.trainable_variables:
        weight.assign(weight.value + 0.1)
    assert (pictures.drawn_figures(model, data) != picture).any()


@pytest.mark.parametrize(
    ("y", "expected"),
    [
        ([2, 2, 2, 5, 7], (0, 3)),
        ([1, 0], (0, 1)),
        ([3, 3, 3], (0, 1)),
        ([3, 3, 3, 3, 3, 3, 3, 3, 1], (0, 1)),
        ([4], (0, 0)),
        (None, (0, 1)),
    ],
)
def test_a_way_goes_to_an_example_of_another_class(y, expected):
    count = 5 if y is None else min(5, len(y))
    y = None if y is None else np.array(y)
    assert pictures.ends(y, count) == expected
