import numpy as np

from keras_vae.visualization import space, style

LABELS = ("a", "b", "c")


def test_classes_are_coloured_in_space():
    points = np.random.default_rng(0).normal(size=(30, 3))
    figure = space.scatter_3d(
        points, np.arange(30) % 3 - 1, ("x", "y"), title="Space", axes_labels=LABELS
    )
    (axes,) = figure.axes
    for limits, values in zip(
        (axes.get_xlim(), axes.get_ylim(), axes.get_zlim()), points.T, strict=True
    ):
        assert limits[0] <= values.min() and values.max() <= limits[1]
    assert axes.get_zlabel() == "c"
    assert len(figure.legends[0].get_texts()) == 2
    assert len(space.scatter_3d(points, title="", axes_labels=LABELS).axes) == 1


def test_the_sheet_has_one_colour_map_rolled_and_unrolled():
    position = np.linspace(4, 14, 50)
    x = np.stack([np.cos(position), position, np.sin(position)], axis=1)
    z = np.stack([position, position], axis=1)
    figure = space.rolled_and_unrolled(
        x, z, position, axes_labels=LABELS[:2], position_label="position (radians)"
    )
    rolled, flat, bar = figure.axes
    for axes in (rolled, flat):
        np.testing.assert_array_equal(axes.collections[0].get_array(), position)
        assert axes.collections[0].get_cmap().name == style.CONTINUOUS
    assert bar.get_ylabel() == "position (radians)"
