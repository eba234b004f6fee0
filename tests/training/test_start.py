import numpy as np
import pytest

from keras_vae import load_model
from keras_vae.training import run, start
from keras_vae.training.build import build_model
from keras_vae.training.config import TrainConfig
from keras_vae.training.folder import RunFolder

SHAPE = (8, 8, 1)
SMALL = {"latent_dim": 3, "hidden_units": (16,)}


def config(**flags: object) -> TrainConfig:
    return TrainConfig.resolve({**SMALL, **flags})


@pytest.fixture(scope="module")
def other(tmp_path_factory) -> RunFolder:
    """The folder of a run of a denoising autoencoder, as far as a start needs it."""
    folder = RunFolder(tmp_path_factory.mktemp("runs") / "other")
    flags = config(model="ae", input_noise="masking:0.2", seed=7)
    folder.path.mkdir()
    folder.config.write_text(flags.to_json())
    build_model(flags, SHAPE, 1).save(folder.model)
    return folder


def test_a_vae_starts_from_the_networks_of_an_autoencoder(other: RunFolder) -> None:
    flags = config(init_from=str(other.path))
    model, theirs = build_model(flags, SHAPE, 1), load_model(other.model)
    before = model.prior_sample(2, 0).numpy(), model.encoder.get_weights()[0]
    start.set_networks(model, start.read_networks(flags, model))
    for name in ("encoder", "decoder"):
        pairs = zip(
            getattr(model, name).get_weights(),
            getattr(theirs, name).get_weights(),
            strict=True,
        )
        assert all(np.array_equal(mine, its) for mine, its in pairs)
    assert (model.encoder.get_weights()[0] != before[1]).any()
    x = np.random.default_rng(0).uniform(size=(5, *SHAPE))
    np.testing.assert_allclose(model.encode(x), theirs.encode(x), rtol=1e-5)


@pytest.mark.slow
def test_a_hierarchy_starts_with_its_path_too(tmp_path, other: RunFolder) -> None:
    def flags(**more: object) -> TrainConfig:
        small = {"model": "hvae", "width": 4, "latent_dim": 3}
        return TrainConfig.resolve({**small, **more})

    folder = RunFolder(tmp_path / "hvae")
    folder.path.mkdir()
    folder.config.write_text(flags(seed=7).to_json())
    theirs = build_model(flags(seed=7), SHAPE, 1)
    theirs.save(folder.model)
    ours = flags(init_from=str(folder.path))
    model = build_model(ours, SHAPE, 1)
    start.set_networks(model, start.read_networks(ours, model))
    x = np.random.default_rng(0).uniform(size=(5, *SHAPE))
    np.testing.assert_allclose(model.encode(x), theirs.encode(x), rtol=1e-5)


def test_without_the_flag_nothing_is_read() -> None:
    assert start.read_networks(config(), None) == {}


@pytest.mark.parametrize(
    ("flags", "shape", "message"),
    [
        ({"latent_dim": 4}, SHAPE, "--latent_dim 3, this one 4"),
        ({"hidden_units": (16, 8)}, SHAPE, "--hidden_units 16, this one 16,8"),
        ({"activation": "relu"}, SHAPE, "--activation silu, this one relu"),
        ({}, (3, 3, 1), r"encoder .* of shapes \(64, 16\), .* this run's of \(9, 16\)"),
        ({"likelihood": "gaussian_per_pixel"}, SHAPE, "the decoder of"),
    ],
)
def test_networks_of_another_make_are_refused(
    other: RunFolder, flags: dict, shape: tuple, message: str
) -> None:
    flags = config(init_from=str(other.path), **flags)
    with pytest.raises(ValueError, match=message):
        start.read_networks(flags, build_model(flags, shape, 1))


def test_what_is_no_run_is_refused(other: RunFolder, tmp_path) -> None:
    with pytest.raises(ValueError, match="expected the folder of a complete run"):
        start.read_networks(config(init_from=str(tmp_path)), None)
    broken = RunFolder(tmp_path / "broken")
    broken.path.mkdir()
    broken.config.write_text(other.config.read_text())
    broken.model.write_bytes(b"no model")
    with pytest.raises(ValueError, match="cannot be loaded"):
        start.read_networks(config(init_from=str(broken.path)), None)
    broken.config.write_text("{")
    with pytest.raises(ValueError, match="cannot be read"):
        start.read_networks(config(init_from=str(broken.path)), None)


@pytest.mark.slow
def test_a_run_of_an_autoencoder_is_complete_and_a_vae_starts_from_it(tmp_path) -> None:
    shared = {**SMALL, "epochs": 6, "image_every": 0, "learning_rate": 5e-3}
    first = TrainConfig.resolve(
        {**shared, "model": "ae", "output_dir": str(tmp_path / "ae")}
    )
    folder = run.train(first)
    metrics = folder.read_metrics()
    assert "kl_loss" not in metrics and "neg_elbo" not in metrics
    losses = {}
    for name, extra in (("cold", {}), ("warm", {"init_from": str(folder.path)})):
        given = {**shared, **extra, "epochs": 1, "output_dir": str(tmp_path / name)}
        losses[name] = run.train(TrainConfig.resolve(given)).read_metrics()["neg_elbo"]
    # It would not be lower had `adapt` or the initialisers had the last word.
    assert losses["warm"] < losses["cold"] - 0.5


@pytest.mark.slow
def test_a_run_with_a_vamp_prior_writes_its_pseudo_inputs(tmp_path) -> None:
    folder = run.train(
        TrainConfig.resolve(
            {
                **SMALL,
                "prior": "vamp",
                "prior_components": 9,
                "epochs": 1,
                "image_every": 0,
                "output_dir": str(tmp_path / "run"),
            }
        )
    )
    from PIL import Image

    with Image.open(folder.images / "pseudo_inputs.png") as picture:
        assert min(picture.size) > 100
        assert np.asarray(picture).std() > 20
