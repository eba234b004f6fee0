import numpy as np
import pytest

from keras_vae.data import tones
from keras_vae.data.datasets import load

STEP = tones.RATE / tones.WINDOW  # Hz from one frequency to the next


def courses(pitch: float = 1.0, brightness: float = 0.5, decay: float = 0.5) -> dict:
    """A spectrogram of each course, (32, 64), by its name."""
    label = np.arange(len(tones.COURSES))
    factors = np.tile([pitch, brightness, decay], (len(label), 1))
    x = tones.spectrogram(tones.sounds(label, factors))
    return dict(zip(tones.COURSES, x, strict=True))


def loudest(x: np.ndarray) -> np.ndarray:
    """The frequency of the fundamental in each frame, in Hz."""
    return (x.argmax(axis=-1) + 1) * STEP


@pytest.mark.parametrize("pitch", [0.0, 0.7, 1.5])
def test_the_fundamental_is_at_the_pitch(pitch: float) -> None:
    found = loudest(courses(pitch)["steady"])
    assert np.abs(found - 150 * 2**pitch).max() <= STEP


def test_pitch_rises_falls_and_swings_as_the_course_says() -> None:
    found = {name: loudest(x) for name, x in courses().items()}
    half = 150 * 2.0**1.0
    assert np.ptp(found["steady"]) == np.ptp(found["tremolo"]) == 0
    assert found["rising"][-2] == pytest.approx(half * 2**0.5, abs=STEP)
    assert found["falling"][-2] == pytest.approx(half * 2**-0.5, abs=STEP)
    swings = np.diff(np.sign(found["vibrato"] - found["vibrato"].mean()))
    assert np.count_nonzero(swings) >= 4  # of six waves a second in half a second


def test_a_tremolo_changes_in_loudness_and_not_in_pitch() -> None:
    peaks = {name: x.max(axis=-1) for name, x in courses().items()}
    assert np.diff(peaks["steady"])[1:].max() < 0.01  # it only decays
    assert np.diff(peaks["tremolo"])[1:].max() > 0.2


def test_brightness_is_the_loudness_of_each_harmonic_in_the_one_before() -> None:
    x = courses(pitch=np.log2(8 * STEP / 150), brightness=0.4)["steady"][15]
    harmonics = np.exp(x[[7, 15, 23, 31]]) - 0.01
    np.testing.assert_allclose(harmonics[1:] / harmonics[:-1], 0.4, rtol=0.03)
    assert x[39] < harmonics.min()


def test_decay_is_how_much_weaker_it_ends() -> None:
    peaks = np.exp(courses(decay=2.0)["steady"].max(axis=-1)) - 0.01
    between = peaks[4] / peaks[27]
    assert np.log(between) == pytest.approx(2.0 * 23 * 128 / 4223, rel=0.02)


@pytest.mark.slow
def test_it_is_a_dataset_by_name() -> None:
    data = load("tones")
    assert (data.kind, data.input_shape) == ("sequences", (32, 64))
    assert (len(data.train), len(data.test)) == (3000, 600)
    assert data.label_names == tones.COURSES
    assert data.factor_names == tones.FACTOR_NAMES
    assert min(np.bincount(data.train.y)) > 500
    pitch = data.train.factors[data.train.y == 0, 0]
    found = loudest(data.train.x[data.train.y == 0])[:, 2]
    assert np.abs(found - 150 * 2**pitch).max() <= STEP  # under the hiss too
    few = tones.tones(train=20, test=5)
    assert few["x_train"].dtype == np.float32 and np.isfinite(few["x_train"]).all()
    np.testing.assert_array_equal(few["x_test"], tones.tones(20, 5)["x_test"])
