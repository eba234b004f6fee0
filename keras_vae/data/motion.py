"""A two-link arm that draws figures: sequences of its joint angles.

The arm is fixed at the origin. Its upper link turns by the shoulder's angle, its lower
link by the elbow's angle against the upper one; the tip holds a pen. An example is one
figure, drawn once at constant speed, as the two angles at 64 moments in radians. The
figure is the label; where, how large and how tilted it is drawn are the factors.
"""

import numpy as np

from keras_vae.data.files import Arrays, in_two

FIGURES = ("circle", "triangle", "square", "star", "eight")
"""What is drawn; the names of the labels."""

FACTOR_NAMES = ("x", "y", "size", "tilt")
"""Position of the centre and radius, in lengths of the upper link; radians."""

LINKS = (1.0, 0.8)
"""Lengths of the upper and the lower link."""

STEPS = 64
"""Moments of one drawing."""

_LOW = np.array([0.9, 0.1, 0.2, -0.35])
_HIGH = np.array([1.2, 0.5, 0.35, 0.35])
_TREMOR = 0.01  # radians, the spread of what a hand or a sensor adds to each angle


def motion(train: int = 4000, test: int = 1000) -> Arrays:
    """Returns drawings of all figures, float32 `(n, 64, 2)`, shoulder and elbow.

    Args:
        train: Number of examples for training.
        test: Number of examples for testing.
    """
    n = train + test
    random = np.random.RandomState(0)  # a stream that is frozen for ever
    label = random.randint(len(FIGURES), size=n)
    factors = random.uniform(_LOW, _HIGH, (n, len(FACTOR_NAMES)))
    angles = joint_angles(drawings(label, factors))
    x = (angles + _TREMOR * random.standard_normal(angles.shape)).astype(np.float32)
    return {
        **in_two(train, x=x, y=label, factors=factors),
        "label_names": FIGURES,
        "factor_names": FACTOR_NAMES,
        "kind": "sequences",
    }


def drawings(label: np.ndarray, factors: np.ndarray) -> np.ndarray:
    """Returns the paths of the pen.

    Args:
        label: `(n,)`, indices in `FIGURES`.
        factors: `(n, 4)`, as `FACTOR_NAMES` says.

    Returns:
        `(n, 64, 2)`, closed: a step behind the last point is the first again.
    """
    outlines = np.stack([_outline(name) for name in FIGURES])[label]
    tilt, size = factors[:, 3, np.newaxis], factors[:, 2, np.newaxis, np.newaxis]
    u, v = outlines[..., 0], outlines[..., 1]
    turned = np.stack(
        [u * np.cos(tilt) - v * np.sin(tilt), u * np.sin(tilt) + v * np.cos(tilt)],
        axis=-1,
    )
    return factors[:, np.newaxis, :2] + size * turned


def joint_angles(pen: np.ndarray) -> np.ndarray:
    """Returns the angles that bring the pen to given points, the elbow bent one way.

    Args:
        pen: `(..., 2)`, points that the arm reaches.

    Returns:
        `(..., 2)`, shoulder and elbow, in radians.
    """
    upper, lower = LINKS
    x, y = pen[..., 0], pen[..., 1]
    cosine = (x**2 + y**2 - upper**2 - lower**2) / (2 * upper * lower)
    elbow = np.arccos(np.clip(cosine, -1.0, 1.0))
    shoulder = np.arctan2(y, x) - np.arctan2(
        lower * np.sin(elbow), upper + lower * np.cos(elbow)
    )
    return np.stack([shoulder, elbow], axis=-1)


def arm_places(angles: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns where the elbow and the pen are at given angles.

    Args:
        angles: `(..., 2)`, shoulder and elbow, in radians.

    Returns:
        Two arrays `(..., 2)`.
    """
    upper, lower = LINKS
    shoulder, forearm = angles[..., 0], angles[..., 0] + angles[..., 1]
    elbow = upper * np.stack([np.cos(shoulder), np.sin(shoulder)], axis=-1)
    pen = elbow + lower * np.stack([np.cos(forearm), np.sin(forearm)], axis=-1)
    return elbow, pen


def _outline(name: str) -> np.ndarray:
    """Returns 64 points of a figure of radius 1 around the origin, `(64, 2)`."""
    turn = 2 * np.pi * np.arange(STEPS) / STEPS
    if name == "circle":
        return np.stack([np.sin(turn), np.cos(turn)], axis=-1)
    if name == "eight":
        return np.stack([np.sin(2 * turn) / 2, np.cos(turn)], axis=-1)
    corners, skip = {"triangle": (3, 1), "square": (4, 1), "star": (5, 2)}[name]
    corner = 2 * np.pi * skip * np.arange(corners + 1) / corners
    position = corners * np.arange(STEPS) / STEPS
    return np.stack(
        [
            np.interp(position, np.arange(corners + 1), np.sin(corner)),
            np.interp(position, np.arange(corners + 1), np.cos(corner)),
        ],
        axis=-1,
    )
