import dataclasses
import json
import shutil

import numpy as np
import pytest
from PIL import Image

from keras_vae import load_model
from keras_vae.models.registry import MODELS
from keras_vae.training.folder import RunFolder

pytestmark = pytest.mark.slow


FLAGS = {
    "learning_rate_schedule": "constant",  # so that it could go on for more epochs
    "deterministic": True,
    "image_every": 1,
    "weight_average": 0.0,
}


@pytest.fixture(scope="module")
def trained(train_anywhere, tmp_path_factory):
    """A run of two epochs with `FLAGS`, to be looked at, and what it said."""
    lines = []
    path = tmp_path_factory.mktemp("trained") / "digits"
    return train_anywhere(lines.append, output_dir=str(path), **FLAGS), lines


@pytest.fixture
def copied(trained, tmp_path):
    """The folder of a copy of that run, "copied"."""
    folder, _ = trained
    return RunFolder(shutil.copytree(folder.path, tmp_path / "copied"))


def losses(folder):
    return np.genfromtxt(folder.history, delimiter=",", names=True)["loss"]


def test_a_run_leaves_the_folder_that_is_promised(trained):
    folder, lines = trained
    names = {path.name for path in folder.path.iterdir()} - {".lock"}
    assert names == {
        "checkpoint",
        "config.json",
        "history.csv",
        "images",
        "logs",
        "metrics.json",
        "model.keras",
        "model_card.md",
        "saved_model",
    }
    for kind in ("reconstruction", "interpolation", "samples"):
        pictures = sorted(path.name for path in (folder.images / kind).iterdir())
        assert pictures == ["epoch_0001.png", "epoch_0002.png"]
    metrics = json.loads(folder.metrics.read_text())
    total = metrics["reconstruction_loss"] + metrics["kl_loss"]
    assert metrics["neg_elbo"] == pytest.approx(total)
    assert len(losses(folder)) == 2
    assert f"Wrote {folder.path}" in lines[-1]


def test_the_saved_model_is_the_trained_one(trained):
    folder, _ = trained
    model = load_model(folder.model)
    test = keras_digits()
    figures = model.evaluate(test, verbose=0, return_dict=True)
    metrics = json.loads(folder.metrics.read_text())
    assert figures["kl_loss"] == pytest.approx(metrics["kl_loss"], rel=1e-5)


def keras_digits():
    from keras_vae.data import datasets

    return datasets.load("digits").test.x


def test_a_complete_run_is_left_alone_and_a_new_one_gets_a_number(copied, train):
    lines = []
    before = copied.model.stat().st_mtime_ns
    given = {**FLAGS, "output_dir": "copied"}
    assert str(train(say=lines.append, **given).path) == "copied"
    assert "complete" in lines[-1]
    assert copied.model.stat().st_mtime_ns == before
    shutil.copytree(copied.path, "saved_models/digits-vae-z2")
    assert str(train(epochs=1).path) == "saved_models/digits-vae-z2-2"


def test_a_complete_run_goes_on_for_more_epochs_as_if_it_had_never_stopped(
    copied, train, weights
):
    whole = train(**FLAGS, epochs=4, output_dir="whole")
    folder = train(**FLAGS, epochs=4, output_dir="copied")
    assert json.loads(folder.metrics.read_text())["epochs"] == 4
    np.testing.assert_array_equal(losses(folder), losses(whole))
    ones, others = weights(whole.path), weights(folder.path)
    for name, value in ones.items():
        np.testing.assert_array_equal(value, others[name])


def test_a_run_whose_continuation_was_killed_at_its_start_still_goes_on(copied, train):
    config = dataclasses.replace(copied.read_config(), epochs=3)
    copied.reopen()
    copied.config.write_text(config.to_json())
    assert len(losses(train(**FLAGS, epochs=3, output_dir="copied"))) == 3


def test_other_flags_on_a_folder_are_refused(copied, train):
    with pytest.raises(ValueError, match="--beta"):
        train(**FLAGS, output_dir="copied", beta=2.0)


def test_a_batch_beyond_the_data_is_lowered_with_a_note_or_refused(train):
    lines = []
    train(say=lines.append, batch_size=10_000, epochs=1)
    assert any("1500" in line or "1,500" in line for line in lines)
    with pytest.raises(ValueError, match="--batch_size"):
        train(batch_size=10_000, explicit=["batch_size"])


def test_a_collapsed_run_says_what_to_try(train):
    lines = []
    train(say=lines.append, beta=1000.0, epochs=60)
    assert "collapse" in lines[-1] and "--free_bits" in lines[-1]


def test_two_replicas_make_the_run_of_one_device(train, weights):
    one = train(strategy="one_device", batch_size=77)
    two = train(virtual_devices=2, batch_size=77)
    np.testing.assert_allclose(losses(one), losses(two), rtol=1e-4)
    ones, twos = weights(one.path), weights(two.path)
    assert ones.keys() == twos.keys()
    for name, value in ones.items():
        np.testing.assert_allclose(value, twos[name], atol=1e-3)


# What a run does with a model depends on its data and on these; what else is promised
# of every model is in the contract.
OF_THEIR_OWN = [
    name
    for name, entry in MODELS.items()
    if name == "factor_vae"  # two optimizers
    or {"elbo", "prior", "sum"} & entry.excused.keys()
    or entry.hierarchical
    or any(entry.conditioning)
]


@pytest.mark.parametrize("model", OF_THEIR_OWN)
def test_a_run_of_each_kind_trains_exports_and_is_loaded_again(train, model):
    flags = {"width": 4} if MODELS[model].hierarchical else {}
    folder = train(model=model, epochs=1, **flags)
    assert folder.is_complete
    loaded = load_model(folder.model)
    assert loaded.latent_dim == 2
    assert (folder.saved_model / "saved_model.pb").is_file()


def test_a_kl_schedule_does_not_end_training_while_its_weight_still_grows(train):
    folder = train(
        epochs=8,
        kl_schedule="linear",
        kl_warmup_epochs=8,
        early_stopping_patience=1,
        learning_rate=5e-3,
    )
    rows = np.genfromtxt(folder.history, delimiter=",", names=True)
    assert len(rows) == 8
    np.testing.assert_allclose(rows["val_loss"], rows["val_neg_elbo"], rtol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(("warm_up", "said"), [(2.0, False), (2.5, True)])
def test_a_run_that_is_shorter_than_its_kl_schedule_says_so(train, warm_up, said):
    lines = []
    schedule = {"kl_schedule": "linear", "kl_warmup_epochs": warm_up}
    train(say=lines.append, epochs=2, **schedule)
    found = "full after --kl_warmup_epochs 2.5" in "\n".join(lines)
    assert found == said


def test_averaged_weights_are_what_is_kept(trained, train, weights):
    plain = weights(trained[0].path)
    averaged = weights(train(**{**FLAGS, "weight_average": 0.9}).path)
    assert any(not np.array_equal(plain[name], averaged[name]) for name in plain)
    apart = max(np.abs(plain[name] - averaged[name]).max() for name in plain)
    assert apart < 0.1  # the average is of the weights just before, not of the start


def test_augmentation_changes_what_is_learned_and_is_for_images(
    trained, train, tmp_path
):
    moved = train(**FLAGS, augment="affine")
    assert not np.allclose(losses(trained[0]), losses(moved))
    np.save(tmp_path / "rows.npy", np.random.default_rng(0).normal(size=(40, 5)))
    with pytest.raises(ValueError, match="augment"):
        train(
            dataset=str(tmp_path / "rows.npy"),
            augment="affine",
            batch_size=8,
            explicit=["augment"],
        )


# Own data, from file to generated examples.


def own_folder(path):
    rng = np.random.default_rng(0)
    path.mkdir()
    for index in range(12):
        pixels = rng.integers(0, 256, (64, 64, 3), np.uint8)
        Image.fromarray(pixels).save(path / f"tile {index}.png")
    return (64, 64, 3)


def own_colour_arrays(path):
    x = np.random.default_rng(0).integers(0, 256, (12, 31, 45, 3), np.uint8)
    np.savez(path, x_train=x, x_test=x[:4])
    return (31, 45, 3)


def own_vectors(path):
    rows = np.random.default_rng(0).normal(5.0, 3.0, (30, 4))
    np.savetxt(path, rows, delimiter=",", header="a,b,c,d", comments="")
    return (4,)


@pytest.mark.parametrize(
    ("name", "make", "flags"),
    [
        ("tiles", own_folder, {"encoder": "conv"}),
        ("colour.npz", own_colour_arrays, {"encoder": "conv"}),
        ("rows.csv", own_vectors, {}),
    ],
)
def test_own_data_is_trained_on_exported_and_generated_from(
    train, tmp_path, name, make, flags
):
    import tensorflow as tf

    shape = make(tmp_path / name)
    folder = train(dataset=str(tmp_path / name), batch_size=5, **flags)
    loaded = tf.saved_model.load(str(folder.saved_model))
    generate = loaded.signatures["generate"]
    x = generate(num=tf.constant(7), seed=tf.constant([1, 2]))["x"].numpy()
    assert x.shape == (7, *shape)
    assert np.isfinite(x).all()
