import numpy as np

from keras_vae.data import motion
from keras_vae.data.datasets import load


def test_the_pen_is_where_the_joint_angles_bring_it() -> None:
    arrays = motion.motion(train=200, test=50)
    angles = arrays["x_train"]
    elbow, pen = motion.arm_places(angles)
    wanted = motion.drawings(arrays["y_train"], arrays["factors_train"])
    # A tremor of 0.01 radians moves the pen of an arm of length 1.8 by less than 0.1.
    assert np.abs(pen - wanted).max() < 0.1
    assert np.abs((pen - wanted).mean()) < 1e-3
    np.testing.assert_allclose(np.linalg.norm(elbow, axis=-1), 1.0, rtol=1e-5)
    forearm = np.linalg.norm(pen - elbow, axis=-1)
    np.testing.assert_allclose(forearm, 0.8, rtol=1e-5)


def test_angles_invert_exactly_and_the_elbow_bends_one_way() -> None:
    rng = np.random.default_rng(0)
    radius, turn = rng.uniform(0.3, 1.7, 500), rng.uniform(-1.5, 1.5, 500)
    pen = np.stack([radius * np.cos(turn), radius * np.sin(turn)], axis=-1)
    angles = motion.joint_angles(pen)
    np.testing.assert_allclose(motion.arm_places(angles)[1], pen, atol=1e-12)
    assert (angles[:, 1] > 0).all()


def test_figures_have_their_corners_centre_and_size() -> None:
    label = np.arange(len(motion.FIGURES))
    factors = np.tile([1.0, 0.3, 0.25, 0.0], (len(label), 1))
    paths = motion.drawings(label, factors)
    from_centre = np.linalg.norm(paths - [1.0, 0.3], axis=-1)
    assert np.allclose(from_centre.max(axis=1), 0.25)
    np.testing.assert_allclose(from_centre[motion.FIGURES.index("circle")], 0.25)
    steps = np.diff(np.concatenate([paths, paths[:, :1]], axis=1), axis=1)
    turns = np.angle(np.exp(1j * np.diff(np.angle(steps @ [1, 1j]), axis=1)))
    corners = (np.abs(turns) > 0.3).sum(axis=1)
    named = dict(zip(motion.FIGURES, corners, strict=True))
    # A corner between two moments counts as two small turns or one; the first is cut.
    assert named["circle"] == 0
    assert named["triangle"] >= 2 and named["square"] == 3 and named["star"] >= 4


def test_a_tilted_figure_is_the_figure_turned() -> None:
    upright, turned = motion.drawings(
        np.array([2, 2]), np.array([[0, 0, 1, 0], [0, 0, 1, np.pi / 2]])
    )
    np.testing.assert_allclose(turned[:, 0], -upright[:, 1], atol=1e-12)
    np.testing.assert_allclose(turned[:, 1], upright[:, 0], atol=1e-12)


def test_it_is_a_dataset_by_name() -> None:
    data = load("motion")
    assert (data.kind, data.input_shape) == ("sequences", (64, 2))
    assert (len(data.train), len(data.test)) == (4000, 1000)
    assert data.label_names == motion.FIGURES
    assert data.factor_names == motion.FACTOR_NAMES
    assert min(np.bincount(data.train.y)) > 700
    again = motion.motion()["x_train"]
    np.testing.assert_array_equal(data.train.x, again)
    # No angle passes the half turn, where it would jump.
    assert np.abs(np.diff(data.train.x, axis=1)).max() < 0.4


def test_angles_tell_the_figures_apart() -> None:
    from sklearn.neighbors import KNeighborsClassifier

    arrays = motion.motion(train=600, test=200)
    x, test = (arrays[f"x_{part}"] for part in ("train", "test"))
    x, test = (part - part.mean(axis=1, keepdims=True) for part in (x, test))
    knn = KNeighborsClassifier(3).fit(x.reshape(len(x), -1), arrays["y_train"])
    assert knn.score(test.reshape(len(test), -1), arrays["y_test"]) > 0.95
