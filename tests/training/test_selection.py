import json

import numpy as np
import pytest
import tensorflow as tf

from keras_vae.models.schedules import LinearWarmup
from keras_vae.training.selection import BestSoFar


class Model:
    """What a callback needs of a model: one weight, and whether to stop."""

    def __init__(self):
        self.weight = np.zeros(1)
        self.stop_training = False

    def get_weights(self):
        return [self.weight.copy()]

    def set_weights(self, weights):
        (self.weight,) = weights


def watch(best, model, losses, first=0):
    """Trains until stopped; after epoch k the weight is k."""
    for epoch, loss in enumerate(losses, first):
        model.weight = np.array([epoch + 1.0])
        best.on_epoch_end(epoch, {"loss": 0.0, "val_loss": loss})
        if model.stop_training:
            break
    return epoch + 1


def pair(patience):
    best, model = BestSoFar(patience), Model()
    best.set_model(model)
    return best, model


def test_the_weights_of_the_lowest_validation_loss_are_chosen():
    best, model = pair(patience=0)
    assert watch(best, model, [5.0, 2.0, 3.0, 2.0]) == 4
    assert model.weight == 4
    best.choose()
    assert model.weight == 2
    assert (best.best, best.best_epoch) == (2.0, 2)


def test_training_stops_after_as_many_epochs_without_a_better_loss_as_the_patience():
    assert watch(*pair(patience=2), [5.0, 4.0, 4.5, 3.0, 3.0, 3.1, 1.0]) == 6
    assert watch(*pair(patience=1), [5.0, 4.0, 4.0, 3.0]) == 3


def test_a_loss_that_is_no_number_is_never_the_best():
    best, model = pair(patience=2)
    assert watch(best, model, [np.nan, np.nan, np.nan]) == 2
    best.choose()
    assert model.weight == 2  # there is nothing better to put back


@pytest.mark.parametrize("after", [1, 2, 3, 4])
def test_continued_from_its_state_it_does_what_it_would_have_done(after):
    losses = [5.0, 4.0, 4.5, 3.0, 3.0, 3.1, 1.0]
    whole, whole_model = pair(patience=2)
    stopped = watch(whole, whole_model, losses)

    first, model = pair(patience=2)
    watch(first, model, losses[:after])
    state, arrays = first.get_state()
    second, model = pair(patience=2)
    second.set_state(json.loads(json.dumps(state)), arrays)
    assert watch(second, model, losses[after:], after) == stopped
    second.choose()
    whole.choose()
    assert model.weight == whole_model.weight == 4


def test_the_state_before_the_first_epoch_is_nothing():
    state, arrays = BestSoFar(3).get_state()
    assert arrays == {}
    second, model = pair(patience=3)
    second.set_state(json.loads(json.dumps(state)), arrays)
    assert second.best == np.inf
    second.choose()
    assert model.weight == 0


def test_patience_begins_once_a_schedule_has_come_to_its_final_weight():
    best, model = BestSoFar(2, scheduled=True), Model()
    best.set_model(model)
    model.beta = LinearWarmup(4)
    losses = [1.0, *9 * [2.0]]
    for epoch, loss in enumerate(losses):
        model.step = tf.constant(epoch + 1, tf.int64)
        best.on_epoch_end(epoch, {"val_loss": loss})
        if model.stop_training:
            break
    assert epoch + 1 == 5  # the second with the final weight
