import os

import pytest

from keras_vae.training.quiet import hushed, starting_tensorflow


@pytest.fixture(autouse=True)
def level(monkeypatch):
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "2")


def test_what_is_written_to_the_descriptor_meanwhile_is_not_seen(capfd):
    os.write(2, b"before ")
    with hushed():
        os.write(2, b"I0000 cuda_platform.cc:52")
    os.write(2, b"after")
    assert capfd.readouterr().err == "before after"


def test_what_goes_wrong_inside_is_raised_and_the_terminal_is_back(capfd):
    with pytest.raises(ImportError, match="libc"), hushed():
        raise ImportError("libc")
    os.write(2, b"after")
    assert capfd.readouterr().err == "after"


def test_nothing_is_hidden_where_everything_was_asked_for(capfd, monkeypatch):
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "0")
    with hushed():
        os.write(2, b"seen")
    assert capfd.readouterr().err == "seen"


def test_no_descriptor_is_left_open():
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        with hushed():
            pass
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.slow
def test_starting_tensorflow_writes_nothing_and_leaves_devices_to_be_set_up(run_python):
    code = (
        "from keras_vae.training import quiet\n"
        "with quiet.starting_tensorflow():\n"
        "    from keras_vae.engine import strategies\n"
        "print(len(strategies.logical_cpus(2)))"
    )
    result = run_python("-c", code, TF_CPP_MIN_LOG_LEVEL="2")
    assert (result.stdout, result.stderr) == ("2\n", "")


@pytest.mark.parametrize("device", ["tpu", "gpu:99"])
def test_a_device_that_is_not_there_is_refused_before_any_work(device):
    with pytest.raises(ValueError, match="--device"), starting_tensorflow(device):
        pass


@pytest.mark.slow
def test_the_cpu_alone_is_seen_where_it_is_asked_for(run_python):
    code = (
        "from keras_vae.training import quiet\n"
        "with quiet.starting_tensorflow('cpu'):\n"
        "    import tensorflow as tf\n"
        "print({device.device_type for device in tf.config.get_visible_devices()})"
    )
    assert run_python("-c", code).stdout == "{'CPU'}\n"
