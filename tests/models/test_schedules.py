import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_vae.models.schedules import Cyclical, LinearWarmup


def values(schedule, steps):
    return [float(schedule(tf.constant(step, tf.int64))) for step in steps]


def test_linear_warmup_grows_from_0_and_stays():
    got = values(LinearWarmup(10), [0, 1, 5, 10, 11, 10**9])
    np.testing.assert_allclose(got, [0, 0.1, 0.5, 1, 1, 1], rtol=1e-6)


def test_linear_warmup_reaches_its_value():
    got = values(LinearWarmup(4, value=8.0), [0, 1, 4, 100])
    np.testing.assert_allclose(got, [0, 2, 8, 8], rtol=1e-6)


def test_cyclical_grows_holds_and_starts_again():
    got = values(Cyclical(10, ratio=0.5, value=2.0), [0, 1, 5, 9, 10, 11, 99, 100])
    np.testing.assert_allclose(got, [0, 0.4, 2, 2, 0, 0.4, 2, 0], rtol=1e-6)


def test_a_cycle_may_grow_all_the_time():
    got = values(Cyclical(4, ratio=1.0), range(5))
    np.testing.assert_allclose(got, [0, 0.25, 0.5, 0.75, 0], rtol=1e-6)


def test_a_late_step_is_not_rounded():
    late = 2**24 + 1  # the first whole number that float32 cannot hold
    assert values(Cyclical(2, ratio=1.0), [late]) == [0.5]


@pytest.mark.parametrize("schedule", [LinearWarmup(7, 3.0), Cyclical(7, 0.25, 3.0)])
def test_a_schedule_is_restored_from_its_config(schedule):
    config = keras.saving.serialize_keras_object(schedule)
    again = keras.saving.deserialize_keras_object(config)
    assert type(again) is type(schedule)
    assert again.get_config() == schedule.get_config()
    assert values(again, range(9)) == values(schedule, range(9))


@pytest.mark.parametrize("schedule", [LinearWarmup(2, 3.0), Cyclical(4, 0.5, 3.0)])
def test_a_schedule_can_be_a_learning_rate(schedule):
    weight = keras.Variable(0.0)
    optimizer = keras.optimizers.SGD(schedule)
    optimizer.build([weight])
    for _ in range(3):
        optimizer.apply([tf.constant(1.0)])
    assert float(weight) == pytest.approx(-(0 + 1.5 + 3))
