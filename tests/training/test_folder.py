import json
import os

import pytest

from keras_vae.engine import checkpoint
from keras_vae.training.config import TrainConfig
from keras_vae.training.folder import FolderLost, RunFolder, find

NAME = "digits-vae-z20"


def config(**given):
    return TrainConfig.resolve(given)


def make(path, given=None, complete=False, checkpoint=False):
    """A folder as a run leaves it."""
    path.mkdir(parents=True)
    (path / "config.json").write_text(config(**(given or {})).to_json({"python": "3"}))
    if complete:
        (path / "metrics.json").write_text("{}")
    if checkpoint:
        (path / "checkpoint").mkdir()
    return path


def found(tmp_path, **given):
    return find(config(**given), tmp_path).path.name


def test_a_first_run_has_the_plain_name(tmp_path):
    assert found(tmp_path / "not_there_yet") == NAME
    assert not (tmp_path / "not_there_yet").exists()


def test_where_the_name_is_taken_runs_are_numbered(tmp_path):
    make(tmp_path / NAME, complete=True)
    assert found(tmp_path) == f"{NAME}-2"
    make(tmp_path / f"{NAME}-2", complete=True)
    assert found(tmp_path) == f"{NAME}-3"
    make(tmp_path / f"{NAME}-30", complete=True)
    assert found(tmp_path) == f"{NAME}-3"
    make(tmp_path / f"{NAME}-old", complete=True)
    assert found(tmp_path) == f"{NAME}-3"


def test_the_newest_unfinished_run_of_the_same_flags_is_continued(tmp_path):
    make(tmp_path / NAME)
    make(tmp_path / f"{NAME}-2", {"epochs": 7})
    make(tmp_path / f"{NAME}-3")
    make(tmp_path / f"{NAME}-5", complete=True)
    assert found(tmp_path) == f"{NAME}-3"
    assert found(tmp_path, epochs=7) == f"{NAME}-2"
    assert found(tmp_path, epochs=8) == f"{NAME}-4"


def test_a_run_is_complete_with_its_figures(tmp_path):
    assert RunFolder(make(tmp_path / "a", complete=True)).is_complete
    assert not RunFolder(make(tmp_path / "b", checkpoint=True)).is_complete
    both = RunFolder(make(tmp_path / "c", complete=True, checkpoint=True))
    assert both.is_complete
    both.reopen()
    assert not both.is_complete and both.checkpoint.is_dir()


def finished(path, given, **state):
    """A complete run with the checkpoint of its end."""
    make(path, given, complete=True)
    end = {"finished": True, "epoch": given["epochs"], "epochs": given["epochs"]}
    checkpoint.save(path / "checkpoint", {}, {**end, **state})
    return {**given, "output_dir": str(path)}


CONSTANT = {"epochs": 7, "learning_rate_schedule": "constant"}


def test_a_complete_run_may_be_given_more_epochs_and_nothing_else(tmp_path):
    given = finished(tmp_path / "a", CONSTANT)
    longer = {**given, "epochs": 9}
    assert find(config(**longer)).path == tmp_path / "a"
    for others in ({"epochs": 6}, {"beta": 2.0}):
        with pytest.raises(ValueError, match="other flags"):
            find(config(**{**longer, **others}))


def test_what_has_not_come_to_its_end_is_to_be_finished_first(tmp_path):
    given = finished(tmp_path / "a", CONSTANT, finished=False)
    RunFolder(tmp_path / "a").reopen()
    with pytest.raises(ValueError, match="not complete: give that first"):
        find(config(**{**given, "epochs": 9}))


@pytest.mark.parametrize("checkpoint", [False, True])
def test_a_complete_run_of_0_1_0_cannot_go_on(tmp_path, checkpoint):
    path = make(tmp_path / "a", CONSTANT, complete=True, checkpoint=checkpoint)
    with pytest.raises(ValueError, match=r"no checkpoint.*0\.1\.0.*--overwrite"):
        find(config(**{**CONSTANT, "epochs": 9, "output_dir": str(path)}))


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ({}, "from 0.0005, along one of 20"),
        ({"model": "capacity_vae", **CONSTANT}, "back to 17.5"),
    ],
)
def test_a_schedule_starts_again_only_where_it_is_asked_for(tmp_path, flags, words):
    given = finished(tmp_path / "a", {**flags, "epochs": flags.get("epochs", 10)})
    longer = {**given, "epochs": 20}
    with pytest.raises(ValueError, match=words) as caught:
        find(config(**longer))
    assert "--stretch_schedule" in str(caught.value)
    assert find(config(**longer, stretch_schedule=True)).path == tmp_path / "a"


def test_a_given_folder_may_be_new_empty_or_of_the_same_flags(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / ".lock").touch()
    make(tmp_path / "same", {"output_dir": "elsewhere", "epochs": 7})
    for name in ("new", "empty", "same"):
        path = str(tmp_path / name)
        assert find(config(output_dir=path, epochs=7)).path == tmp_path / name


def test_other_flags_are_refused_by_name(tmp_path):
    path = make(
        tmp_path / "a", {"epochs": 7, "hidden_units": (3, 4), "batch_norm": True}
    )
    given = {"output_dir": str(path), "hidden_units": (5,), "latent_dim": 3}
    with pytest.raises(ValueError, match="other flags") as caught:
        find(config(**given))
    for words in (
        "--epochs 7 there, 100 now",
        "--hidden_units 3,4 there, 5 now",
        "--batch_norm true there, false now",
        "--latent_dim 20 there, 3 now",
        "--overwrite",
    ):
        assert words in str(caught.value)
    assert "--seed" not in str(caught.value)
    assert find(config(**given, overwrite=True)).path == path


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("content", [None, "{}", '{"hidden_size": 768}', "[", "7"])
def test_what_is_no_run_is_refused_even_to_be_overwritten(tmp_path, content, overwrite):
    (tmp_path / "photo.jpg").write_text("mine")
    if content is not None:
        (tmp_path / "config.json").write_text(content)
    with pytest.raises(ValueError, match=r"no run's folder|cannot be read as a run's"):
        find(config(output_dir=str(tmp_path), overwrite=overwrite))


def test_a_file_in_the_place_of_the_folder_is_refused(tmp_path):
    (tmp_path / "a").write_text("mine")
    with pytest.raises(ValueError, match="expected a folder, got the file"):
        find(config(output_dir=str(tmp_path / "a")))


def test_overwrite_without_a_folder_takes_the_plain_name(tmp_path):
    make(tmp_path / NAME, complete=True)
    make(tmp_path / f"{NAME}-2")
    assert found(tmp_path, overwrite=True) == NAME


def test_clearing_leaves_what_is_not_the_run_s(tmp_path):
    path = make(tmp_path / "a", complete=True, checkpoint=True)
    for name in ("images", "logs", "saved_model", "mine"):
        (path / name).mkdir()
        (path / name / "file").write_text(name)
    for name in ("notes.txt", "history.csv", "model.keras", "report.html"):
        (path / name).write_text(name)
    RunFolder(path).clear()
    assert sorted(os.listdir(path)) == ["config.json", "mine", "notes.txt"]
    assert (path / "mine" / "file").read_text() == "mine"


def test_clearing_follows_no_link(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "photo.jpg").write_text("mine")
    path = make(tmp_path / "a", complete=True)
    (path / "images").symlink_to(tmp_path / "mine")
    (path / "history.csv").symlink_to(tmp_path / "mine" / "photo.jpg")
    RunFolder(path).clear()
    assert os.listdir(path) == ["config.json"]
    assert (tmp_path / "mine" / "photo.jpg").read_text() == "mine"


def test_a_run_that_is_cleared_half_is_not_complete(tmp_path, monkeypatch):
    path = make(tmp_path / "a", complete=True)
    (path / "images").mkdir()
    monkeypatch.setattr("shutil.rmtree", lambda place: pytest.fail("interrupted"))
    with pytest.raises(pytest.fail.Exception):
        RunFolder(path).clear()
    assert RunFolder(path).is_run
    assert not RunFolder(path).is_complete


def test_a_claimed_folder_is_refused_to_others_until_it_is_released(tmp_path):
    first, second = RunFolder(tmp_path / "a" / "b"), RunFolder(tmp_path / "a" / "b")
    with first.claimed():
        with pytest.raises(ValueError, match="Another process is training in"):
            with second.claimed():
                pass
        first.require()
    with second.claimed():
        second.require()


def test_claiming_sweeps_what_a_killed_writer_left_and_nothing_else(tmp_path):
    for name in (".model.17.partial.keras", ".history.3.partial.csv", ".hidden", "a.7"):
        (tmp_path / name).write_text("")
    for name in (".saved_model.9.partial", ".saved_model.9.old", "checkpoint"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text("")
    (tmp_path / "checkpoint" / ".state.5.partial.npz").write_text("")
    with RunFolder(tmp_path).claimed():
        pass
    assert sorted(os.listdir(tmp_path)) == [".hidden", ".lock", "a.7", "checkpoint"]
    assert os.listdir(tmp_path / "checkpoint") == ["file"]


def test_a_folder_that_cannot_be_made_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="cannot be written"):
        with RunFolder(tmp_path / "file" / "a").claimed():
            pass


@pytest.mark.parametrize("back", [False, True])
def test_a_folder_that_was_removed_is_noticed(tmp_path, back):
    folder = RunFolder(tmp_path / "a")
    with folder.claimed():
        (tmp_path / "a" / ".lock").unlink()
        (tmp_path / "a").rmdir()
        if back:  # by another run
            (tmp_path / "a").mkdir()
            (tmp_path / "a" / ".lock").touch()
        with pytest.raises(FolderLost, match="was removed while"):
            folder.require()


AFTERWARDS = [
    "history.csv",
    ".history.17.partial.csv",
    "checkpoint/state.npz",
    "checkpoint/.state.17.partial.npz",
    "images/samples/epoch_0007.png",
    "images/samples/.writable",
    "images/motion.png",
    "logs/train/events.out.tfevents.1.host",
    "logs/latents/latents.tsv",
    "model.keras",
    "condition.npy",
    "saved_model/variables/variables.index",
    ".saved_model.17.partial/saved_model.pb",
    "model_card.md",
    "metrics.json",
]


@pytest.mark.parametrize("names", [[], *[[name] for name in AFTERWARDS], AFTERWARDS])
def test_what_was_written_after_the_folder_had_gone_goes_too(tmp_path, names):
    folder = RunFolder(tmp_path / "a")
    with folder.claimed():
        folder.path.rename(tmp_path / "elsewhere")
        folder.path.mkdir()
        written(folder.path, names)
        with pytest.raises(FolderLost):
            folder.require()
    # So the same command finds no folder of files that are no run's.
    assert not folder.path.exists()


@pytest.mark.parametrize("name", ["images/holiday.png", "a/history.csv", "notes.txt"])
def test_what_is_no_run_s_stays_after_the_folder_had_gone(tmp_path, name):
    folder = RunFolder(tmp_path / "a")
    with folder.claimed():
        folder.path.rename(tmp_path / "elsewhere")
        written(folder.path, [name, "history.csv"])
        with pytest.raises(FolderLost):
            folder.require()
    assert (folder.path / name).exists()


def written(folder, names):
    """Writes files of these names below a folder."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)


def test_figures_are_kept_as_json(tmp_path):
    folder = RunFolder(tmp_path)
    assert folder.read_metrics() == {}
    folder.write_metrics({"neg_elbo": 1.5})
    assert json.loads((tmp_path / "metrics.json").read_text()) == {"neg_elbo": 1.5}
    assert folder.read_metrics() == {"neg_elbo": 1.5}


def test_the_configuration_is_read_back(tmp_path):
    folder = RunFolder(make(tmp_path / "a", {"beta": 2.0}))
    assert folder.read_config() == config(beta=2.0)
