import numpy as np
import pytest
from PIL import Image

from keras_vae.training.config import TrainConfig

MIXTURE = "discretized_logistic_mixture"


def pictures(folder, count=50, side=32, mode="RGB"):
    folder.mkdir()
    for index in range(count):
        Image.new(mode, (side, side)).save(folder / f"{index}.png")
    return str(folder)


def test_colour_pictures_get_convolutions_and_their_own_likelihood(tmp_path):
    config = TrainConfig.resolve({"dataset": pictures(tmp_path / "few")})
    assert (config.encoder, config.likelihood) == ("conv", MIXTURE)
    assert config.prior == "flow"
    updates = config.epochs * -(-50 // config.batch_size)
    assert 800 < updates < 1_200
    assert config.epochs / config.image_every < 20
    thousands = TrainConfig.resolve({"dataset": "patches"})
    assert 15 <= thousands.epochs < config.epochs


def test_a_preset_of_hierarchies_fits_number_and_size_of_pictures(tmp_path):
    small, large = (
        TrainConfig.resolve({"dataset": pictures(path, side=side), "preset": "sharp"})
        for path, side in ((tmp_path / "a", 32), (tmp_path / "b", 64))
    )
    assert small.model == large.model == "hvae"
    assert small.likelihood == MIXTURE and small.augment == "none"
    assert small.finest_stride < large.finest_stride
    assert small.epochs > 300
    assert 0 < small.kl_warmup_epochs < small.epochs / 2


@pytest.mark.parametrize(
    "given",
    [
        {"likelihood": "gaussian"},
        {"rescale_latents": True, "prior": "standard_normal"},
        {"prior": "gaussian_mixture", "prior_components": 9},
        {"encoder": "resnet", "latent_dim": 8, "epochs": 2, "batch_size": 5},
        {"model": "hvae", "kl_schedule": "constant", "finest_stride": 4},
    ],
)
def test_what_is_given_stays(given):
    config = TrainConfig.resolve({"dataset": "patches", **given})
    assert {name: getattr(config, name) for name in given} == given


def test_more_epochs_make_no_other_run():
    given = {"dataset": "patches", "preset": "sharp"}
    plain = TrainConfig.resolve(given)
    for epochs in (3, 99):
        other = TrainConfig.resolve({**given, "epochs": epochs})
        assert plain.differences(other).keys() == {"epochs"}


@pytest.mark.parametrize("size", [0, -1, "many"])
def test_a_batch_size_that_cannot_be_is_refused_as_ever(size):
    with pytest.raises(ValueError, match="--batch_size"):
        TrainConfig.resolve({"dataset": "patches", "batch_size": size})


def test_dense_decoders_keep_the_likelihood_of_few_parameters():
    config = TrainConfig.resolve({"dataset": "patches", "encoder": "mlp"})
    assert config.likelihood == "auto"


def test_other_data_keep_the_defaults(tmp_path):
    colour = np.zeros((9, 8, 8, 3), np.uint8)
    own = {"bytes": colour, "floats": colour / 255.0, "grey": colour[..., :1]}
    found = {}
    for name, x in own.items():
        np.savez(tmp_path / f"{name}.npz", x_train=x)
        given = {"dataset": str(tmp_path / f"{name}.npz")}
        found[name] = TrainConfig.resolve(given).likelihood
    assert found == {"bytes": MIXTURE, "floats": "auto", "grey": "auto"}
    grey = {"dataset": pictures(tmp_path / "grey", mode="L")}
    assert TrainConfig.resolve(grey).likelihood == "auto"
    for more in ({"preset": "good"}, {"binarize": "threshold"}, {"model": "cvae"}):
        config = TrainConfig.resolve({"dataset": "patches", **more})
        assert config.likelihood == "auto"
