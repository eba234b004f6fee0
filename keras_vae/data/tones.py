"""Spectrograms of synthetic tones: sequences of spectra.

A tone has a fundamental and harmonics, an attack and a decay, and a course of its pitch
or loudness that is the label. What is kept of half a second of sound is the logarithm
of the magnitudes of its short-time Fourier transform: 32 frames of 64 frequencies.
"""

import numpy as np

from keras_vae.data.files import Arrays, in_two

COURSES = ("steady", "rising", "falling", "vibrato", "tremolo")
"""What the tone does; the names of the labels."""

FACTOR_NAMES = ("pitch", "brightness", "decay")
"""Octaves above 150 Hz; each harmonic's loudness as part of the one before; how many
times e the tone grows weaker in its time."""

RATE = 8000
"""Samples a second."""

FRAMES = 32
FREQUENCIES = 64
WINDOW = 256
"""Samples of one frame; frames start every half window, frequencies are RATE / WINDOW,
31 Hz, apart and start there."""

_HOP = WINDOW // 2
_HARMONICS = 4
_ROWS = 256  # tones whose sound is in memory at a time
_LOW = np.array([0.0, 0.3, 0.5])
_HIGH = np.array([1.5, 0.8, 3.0])
_HISS = 0.01  # standard deviation of the noise under each tone
_FLOOR = 0.01  # added to magnitudes, so that silence has a logarithm
_ATTACK = 0.02  # seconds
_SWEEP = 0.5  # octaves that a rising or falling tone goes
_WAVES = 6.0  # a second, of vibrato and tremolo


def tones(train: int = 3000, test: int = 600) -> Arrays:
    """Returns spectrograms of all courses, float32 `(n, 32, 64)`, natural logarithms.

    Args:
        train: Number of examples for training.
        test: Number of examples for testing.
    """
    n = train + test
    random = np.random.RandomState(0)  # a stream that is frozen for ever
    label = random.randint(len(COURSES), size=n)
    factors = random.uniform(_LOW, _HIGH, (n, len(FACTOR_NAMES)))
    x = np.empty((n, FRAMES, FREQUENCIES), np.float32)
    for first in range(0, n, _ROWS):
        rows = slice(first, first + _ROWS)
        sound = sounds(label[rows], factors[rows])
        sound += _HISS * random.standard_normal(sound.shape)
        x[rows] = spectrogram(sound)
    return {
        **in_two(train, x=x, y=label, factors=factors),
        "label_names": COURSES,
        "factor_names": FACTOR_NAMES,
        "kind": "sequences",
    }


def sounds(label: np.ndarray, factors: np.ndarray) -> np.ndarray:
    """Returns the sound of tones, `(n, samples)`, without noise.

    Args:
        label: `(n,)`, indices in `COURSES`.
        factors: `(n, 3)`, as `FACTOR_NAMES` says.
    """
    samples = _HOP * (FRAMES - 1) + WINDOW
    time = np.arange(samples) / RATE
    share = time / time[-1]
    wave = np.sin(2 * np.pi * _WAVES * time)
    still = np.zeros(samples)
    bends = [still, _SWEEP * share, -_SWEEP * share, wave / 8, still]  # as in COURSES
    loudness = np.ones((len(COURSES), samples))
    loudness[COURSES.index("tremolo")] += 0.8 * wave
    octaves = factors[:, :1] + np.stack(bends)[label]
    phase = 2 * np.pi * np.cumsum(150.0 * 2.0**octaves, axis=1) / RATE
    harmonics = np.arange(1, _HARMONICS + 1)
    sound = sum(
        factors[:, 1:2] ** (harmonic - 1) * np.sin(harmonic * phase)
        for harmonic in harmonics
    )
    envelope = np.minimum(time / _ATTACK, 1.0) * np.exp(-factors[:, 2:] * share)
    return np.asarray(envelope * loudness[label] * sound)


def spectrogram(sound: np.ndarray) -> np.ndarray:
    """Returns log magnitudes, `(n, 32, 64)`, of sounds `(n, samples)`."""
    frames = np.lib.stride_tricks.sliding_window_view(sound, WINDOW, axis=1)[:, ::_HOP]
    spectrum = np.fft.rfft(frames * np.hanning(WINDOW) * (2 / WINDOW), axis=-1)
    return np.log(_FLOOR + np.abs(spectrum[..., 1 : FREQUENCIES + 1]))
