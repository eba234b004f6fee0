"""A model that main memory has no room for is refused before it is made."""

import pytest

from keras_vae.training import memory
from keras_vae.training.build import build_model
from keras_vae.training.config import TrainConfig


def test_there_is_some_memory_and_no_more_than_a_machine_has():
    room = memory.available()
    assert room is None or 10**7 < room < 10**14


def test_a_container_leaves_what_it_may_take_and_what_was_read_of_files(tmp_path):
    (tmp_path / "memory.max").write_text("3000000\n")
    (tmp_path / "memory.current").write_text("2900000\n")
    assert memory.available(tmp_path) == 100_000
    stat = "anon 5\nfile 2000\ninactive_file 1200000\nactive_file 800000\n"
    (tmp_path / "memory.stat").write_text(stat)
    assert memory.available(tmp_path) == 2_100_000
    (tmp_path / "memory.max").write_text("max\n")
    assert memory.available(tmp_path) > 2_100_000


@pytest.mark.parametrize("model", ["vae", "iwae", "ae", "factor_vae"])
def test_networks_of_terabytes_are_refused_at_once_with_the_flags_that_help(model):
    with pytest.raises(ValueError, match="--hidden_units") as caught:
        build_model(TrainConfig.resolve({"model": model}), (2**15, 2**15, 1), 2)
    assert "--encoder conv" in str(caught.value)
    assert str(caught.value).endswith(".")
