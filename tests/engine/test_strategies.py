import pytest
import tensorflow as tf

from keras_vae.engine import strategies


@pytest.mark.parametrize("name", ["auto", "mirrored"])
def test_virtual_devices_are_replicas(name):
    strategy = strategies.create(name, virtual_devices=3)
    assert strategy.num_replicas_in_sync == 3
    with strategy.scope():
        variable = tf.Variable(0.0, aggregation=tf.VariableAggregation.SUM)

    @tf.function
    def step():
        replica = tf.distribute.get_replica_context().replica_id_in_sync_group
        variable.assign_add(tf.cast(replica, tf.float32))

    strategy.run(step)
    assert variable.numpy() == 0 + 1 + 2
    devices = {
        value.device[-5:] for value in strategy.experimental_local_results(variable)
    }
    assert devices == {"CPU:0", "CPU:1", "CPU:2"}


def test_one_device_is_one_replica_under_tensorflows_own_strategy():
    strategy = strategies.create("one_device")
    assert strategy.num_replicas_in_sync == 1
    assert not tf.distribute.has_strategy()
    assert strategy is tf.distribute.get_strategy()


@pytest.mark.parametrize(
    ("gpus", "replicas"), [([], 1), (["GPU:0"], 1), (["GPU:0", "GPU:1"], 2)]
)
def test_auto_mirrors_where_there_are_two_gpus_or_more(monkeypatch, gpus, replicas):
    # Logical CPU devices stand in for the GPUs.
    cpus = tf.config.list_logical_devices("CPU")[: len(gpus)]
    monkeypatch.setattr(tf.config, "get_visible_devices", lambda kind: gpus)
    monkeypatch.setattr(tf.config, "list_logical_devices", lambda kind: cpus)
    strategy = strategies.create("auto")
    assert strategy.num_replicas_in_sync == replicas
    mirrored = isinstance(strategy, tf.distribute.MirroredStrategy)
    assert mirrored == (replicas > 1)


@pytest.mark.skipif(
    bool(tf.config.list_physical_devices("GPU")), reason="there is a GPU"
)
def test_mirrored_without_a_gpu_is_one_replica_on_the_cpu():
    assert strategies.create("mirrored").num_replicas_in_sync == 1


def test_an_unknown_strategy_is_refused_with_the_nearest_name():
    with pytest.raises(ValueError, match="Did you mean 'mirrored'"):
        strategies.create("mirored")


def test_one_device_refuses_virtual_devices():
    with pytest.raises(ValueError, match="take the strategy 'mirrored'"):
        strategies.create("one_device", virtual_devices=2)


def test_too_late_for_virtual_devices_is_said_plainly():
    tf.zeros(1)
    with pytest.raises(ValueError, match="too late for virtual_devices=64"):
        strategies.create("auto", virtual_devices=64)


@pytest.mark.slow
def test_virtual_devices_can_be_made_after_keras_was_imported(run_forked):
    code = (
        "import keras; from keras_vae.engine import strategies; "
        "print(strategies.create(virtual_devices=2).num_replicas_in_sync)"
    )
    assert run_forked("-c", code).stdout == "2\n"


CHIEF = '{"cluster": {"chief": ["a:1"], "worker": ["b:2", "c:3"]}, "task": %s}'


@pytest.mark.parametrize(
    ("text", "index"),
    [
        (CHIEF % '{"type": "chief", "index": 0}', 0),
        (CHIEF % '{"type": "worker", "index": 0}', 1),
        (CHIEF % '{"type": "worker", "index": 1}', 2),
    ],
)
def test_the_environment_says_which_worker_this_is(text, index, monkeypatch):
    monkeypatch.setenv("TF_CONFIG", text)
    assert strategies.job("auto") == (["a:1", "b:2", "c:3"], index)
    assert strategies.job("mirrored") == ([], 0)


def test_the_flags_say_which_worker_this_is(monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    assert strategies.job("auto", ["a:1", "b:2"], 1) == (["a:1", "b:2"], 1)
    assert strategies.job("auto") == ([], 0)


@pytest.fixture
def machine(monkeypatch):
    """Makes a machine of so many GPUs; returns what was made visible."""

    def make(count):
        chosen = []
        gpus = [f"GPU:{index}" for index in range(count)]
        monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: gpus)
        monkeypatch.setattr(tf.config, "get_visible_devices", lambda kind: gpus)
        monkeypatch.setattr(
            tf.config, "set_visible_devices", lambda wanted, kind: chosen.append(wanted)
        )
        return chosen

    return make


@pytest.mark.parametrize(
    ("name", "expected"),
    [("auto", []), ("cpu", [[]]), ("gpu", []), ("gpu:1", [["GPU:1"]])],
)
def test_a_device_hides_the_others(machine, name, expected):
    chosen = machine(2)
    strategies.use_device(name)
    assert chosen == expected


@pytest.mark.parametrize(("name", "count"), [("gpu", 0), ("gpu:0", 0), ("gpu:2", 2)])
def test_a_gpu_that_is_not_there_is_refused(machine, name, count):
    machine(count)
    with pytest.raises(ValueError, match=f"--device {name}.*--device cpu"):
        strategies.use_device(name)


def test_without_a_gpu_the_cpu_may_be_asked_for_at_any_time():
    tf.constant(0)
    before = tf.config.list_logical_devices()
    strategies.use_device("cpu")
    assert tf.config.list_logical_devices() == before
    assert tf.config.get_visible_devices("GPU") == []
