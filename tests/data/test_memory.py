import pytest

from keras_vae.data import memory

VERSIONS = {
    1: ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"),
    2: ("memory.max", "memory.current"),
}


def test_there_is_some_memory_and_no_more_than_a_machine_has():
    room = memory.available()
    assert room is None or 10**7 < room < 10**14


@pytest.mark.parametrize("version", VERSIONS)
def test_a_container_leaves_what_it_may_take_and_what_was_read(tmp_path, version):
    most, used = (tmp_path / name for name in VERSIONS[version])
    most.parent.mkdir(exist_ok=True)
    most.write_text("3000000\n")
    used.write_text("2900000\n")
    assert memory.available(tmp_path) == 100_000
    stat = "anon 5\nfile 2000\ninactive_file 1200000\nactive_file 800000\n"
    (used.parent / "memory.stat").write_text(stat)
    assert memory.available(tmp_path) == 2_100_000
    most.write_text("max\n")
    assert memory.available(tmp_path) > 2_100_000
