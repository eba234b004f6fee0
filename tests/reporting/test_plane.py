import numpy as np

from keras_vae.reporting.plane import Plane


def test_a_plane_and_its_latents_are_inverse():
    axes = np.array([[0.0, 2.0, 0.0], [1.0, 0.0, 1.0]])
    plane = Plane(np.array([1.0, 2.0, 3.0]), axes, ("right", "up"))
    points = np.array([[0.5, -1.0], [2.0, 0.0]])
    np.testing.assert_allclose(plane.place(plane.latent(points)), points, atol=1e-6)
