import dataclasses
import json

import keras
import numpy as np
import pytest
from PIL import Image

from keras_vae import VAE, HierarchicalVAE, networks
from keras_vae.data.datasets import Data, Split
from keras_vae.reporting import catalogue, plots
from keras_vae.reporting.drawings import Animation
from keras_vae.reporting.runs import Run
from keras_vae.reporting.subject import LeftOut, Subject
from keras_vae.visualization import style

QUICK = [name for name in catalogue.PLOTS if name != "tsne"]


def real_run(folder, latent_dim, shape, labels=True):
    """A run of a small model that never trained."""
    keras.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    likelihood = "bernoulli" if len(shape) == 3 else "gaussian"
    model = VAE(
        latent_dim,
        shape,
        encoder=networks.mlp_encoder(shape, latent_dim, hidden_units=(6,)),
        decoder=networks.mlp_decoder(latent_dim, shape, hidden_units=(6,)),
        likelihood=likelihood,
        seed=0,
    )
    model.ensure_built()
    parts = [
        Split(
            rng.random((24, *shape), np.float32), np.arange(24) % 8 if labels else None
        )
        for _ in range(2)
    ]
    kind = {3: "images", 2: "sequences", 1: "vectors"}[len(shape)]
    data = Data("noise", kind, shape, parts[0], None, parts[1])
    (folder / "history.csv").write_text("epoch,loss,kl_loss\n1,5.0,0.5\n2,4.0,1.0\n")
    return Run(folder, {"dataset": "noise"}, {}, model, data)


def test_the_catalogue_names_every_figure_there_is():
    assert list(plots.PLOTS) == list(catalogue.PLOTS)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("latent_dim", "shape", "labels"),
    [
        (1, (6, 4, 1), True),
        (2, (6, 4, 1), True),
        (20, (6, 4, 1), True),
        (2, (6, 4, 1), False),
        (20, (5, 9, 3), True),
        (1, (5, 9, 3), False),
        (2, (7,), False),
        (20, (7,), True),
        (1, (8, 2), True),
        (20, (8, 2), False),
    ],
)
def test_every_figure_is_drawn_or_says_why_not(tmp_path, latent_dim, shape, labels):
    subject = Subject(real_run(tmp_path, latent_dim, shape, labels))
    # Of other data, or of models for another task.
    left_out = {"swiss_roll", "swiss_roll_turning"}
    left_out |= {"completions", "denoising", "movement"}
    left_out |= {"kl_per_group", "levels", "temperatures"}
    left_out |= set() if labels else {"arrow"}
    left_out |= set() if len(shape) == 3 else {"all_pairs"}
    for name in QUICK:
        if name in left_out:
            with pytest.raises(LeftOut, match=".{10}"):
                plots.draw(subject, name)
            continue
        for part in plots.draw(subject, name).values():
            picture = part
            if isinstance(part, Animation):
                assert len({frame.shape for frame in part.frames}) == 1
                assert len(part.frames) > 1
            else:
                picture = style.as_picture(part)
                assert picture.std() > 5


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(6, 4, 1), (5, 9, 3), (7,), (8, 2)])
def test_every_plot_of_a_hierarchy_is_drawn(tmp_path, shape):
    run = real_run(tmp_path, 2, shape, labels=True)
    model = HierarchicalVAE(2, shape, width=4, likelihood="gaussian", seed=0)
    subject = Subject(dataclasses.replace(run, model=model))
    for name in ("kl_per_group", "levels", "temperatures", "scatter", "model_graph"):
        for plot in plots.draw(subject, name).values():
            assert style.as_picture(plot).std() > 5


@pytest.mark.slow
def test_one_example_alone_is_enough_for_what_needs_no_more(tmp_path):
    run = real_run(tmp_path, 2, (6, 4, 1), labels=False)
    one = run.data.train.take(np.array([0]))
    run = dataclasses.replace(
        run, data=dataclasses.replace(run.data, train=one, test=None)
    )
    subject = Subject(run)
    drawn = [name for name in QUICK if not _left_out(subject, name)]
    assert {"overview", "grids", "pairs", "scatter", "manifold"} <= set(drawn)


def _left_out(subject, name):
    try:
        return not plots.draw(subject, name)
    except LeftOut:
        return True


@pytest.fixture
def opened(tmp_path, monkeypatch):
    """Makes `visualize` open a run that is in memory."""
    run = real_run(tmp_path, 2, (6, 4, 1))
    monkeypatch.setattr(plots, "load_run", lambda path: run)
    return run


STARTS = {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}


@pytest.mark.parametrize(
    "ending",
    ["png", *(pytest.param(name, marks=pytest.mark.slow) for name in ("svg", "pdf"))],
)
def test_files_have_the_format_that_was_asked_for(opened, tmp_path, ending):
    said = []
    files = plots.visualize(
        tmp_path, ["curves", "walks", "overview"], ending, say=said.append
    )
    names = sorted(path.name for path in (tmp_path / "images").iterdir())
    assert names == sorted(path.name for path in files)
    assert {f"overview.{ending}", f"curves.{ending}", "walk_axis_1.gif"} <= set(names)
    for path in files:
        start = b"GIF89a" if path.suffix == ".gif" else STARTS[ending]
        assert path.read_bytes().startswith(start)
    assert said[0] == f"Loading {tmp_path}"
    assert [line[:7] for line in said[1:-1]] == ["[ 1/3] ", "[ 2/3] ", "[ 3/3] "]
    assert said[-1].startswith("Wrote 2 pictures and 4 GIFs to ")


def test_gifs_move_and_loop_for_ever(opened, tmp_path):
    plots.visualize(tmp_path, ["walks"])
    with Image.open(tmp_path / "images" / "walk_axis_1.gif") as gif:
        assert gif.info["loop"] == 0
        assert gif.n_frames > 1


def test_what_makes_no_sense_is_named_with_its_reason(opened, tmp_path):
    said = []
    plots.visualize(tmp_path, ["swiss_roll", "curves"], say=said.append)
    assert any("swiss_roll: left out: it is of the swiss roll" in line for line in said)
    assert said[-1].endswith("left out: swiss_roll.")
    with pytest.raises(ValueError, match="none of these makes sense .*: it is of the"):
        plots.visualize(tmp_path, ["swiss_roll"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"plots": ["manifolt"]}, "`plots`.*Did you mean 'manifold'"),
        ({"ending": "jpg"}, "`format`.*'jpg'"),
        ({"from_label": "12"}, "--from_label: .*got '12'"),
    ],
)
def test_bad_arguments_are_refused_before_anything_is_written(
    opened, tmp_path, arguments, message
):
    with pytest.raises(ValueError, match=message):
        plots.visualize(tmp_path, **arguments)
    assert not (tmp_path / "images").exists()


def test_histories_are_read_with_gaps_and_refused_with_words(tmp_path):
    path = tmp_path / "history.csv"
    path.write_text("epoch,loss\n1,2.5\n2,\n")
    history = plots.read_history(path)
    assert history["epoch"] == [1.0, 2.0]
    assert np.isnan(history["loss"][1])
    path.write_text("epoch,loss\n1,much\n")
    with pytest.raises(ValueError, match="not a table of numbers"):
        plots.read_history(path)


def test_curves_are_left_out_where_there_is_no_history(opened, tmp_path):
    (tmp_path / "history.csv").unlink()
    with pytest.raises(LeftOut, match="history.csv"):
        plots.draw(Subject(opened), "curves")


@pytest.mark.slow
def test_a_manifold_takes_less_than_a_second(mnist10k, tmp_path):
    import time

    from keras_vae.data import datasets

    data = datasets.load(mnist10k)
    model = VAE(2, data.input_shape, seed=0)
    model.ensure_built()
    subject = Subject(Run(tmp_path, {"dataset": "mnist10k"}, {}, model, data))
    subject.pair  # noqa: B018  encoding the examples is not what is measured
    model.decode(np.zeros((1, 2)))
    start = time.process_time()
    drawings = plots.draw(subject, "manifold")
    plots.write(tmp_path, {"manifold": drawings["manifold"]}, "png")
    assert time.process_time() - start < 4.0  # two cores, two lattices, one written


def test_a_complete_run_is_drawn_from_its_folder(tmp_path):
    run = real_run(tmp_path, 2, (6, 4, 1))
    run.model.save(tmp_path / "model.keras")
    arrays = {"x_train": run.data.train.x, "y_train": run.data.train.y}
    np.savez(tmp_path / "data.npz", **arrays)
    config = {"dataset": str(tmp_path / "data.npz")}
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "metrics.json").write_text("{}")
    (path,) = plots.visualize(tmp_path, ["scatter"])[:1]
    assert path == tmp_path / "images" / "scatter.png"
