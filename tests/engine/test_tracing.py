import pytest
import tensorflow as tf

from keras_vae.engine.tracing import own_graph


@pytest.fixture
def warned(monkeypatch):
    """What TensorFlow says of retracing."""
    said, logger = [], tf.get_logger()

    def handle(record):
        if "retracing" in record.getMessage():
            said.append(record)

    monkeypatch.setattr(logger, "handle", handle)
    level = logger.level
    logger.setLevel("WARNING")  # programs that ran in this process may have raised it
    yield said
    logger.setLevel(level)


@pytest.mark.slow
def test_models_of_one_process_are_not_taken_for_one_retraced(small_vae, grey, warned):
    x = grey(4)
    for seed in range(3):
        vae = small_vae(seed=seed)
        vae.compile()
        vae.fit(x, verbose=0)
        vae.evaluate(x, verbose=0)
    for seed in range(5):
        small_vae(seed=seed).predict(x, verbose=0)
    assert not warned


def test_a_graph_that_is_made_anew_at_each_call_is_warned_of(warned):
    graph = own_graph(lambda number: tf.constant(number))
    for number in range(5):
        graph(number)
    assert warned
