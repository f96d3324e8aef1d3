import math

import numpy as np
import pytest

from segfast_edge.data.scene import noise
from segfast_edge.data.scene.camera import NEAR, OVERSAMPLING, Camera
from segfast_edge.data.scene.canvas import Canvas
from segfast_edge.data.scene.classes import CAR, ROAD
from segfast_edge.data.scene.ground import draw_surface, ground, spots
from segfast_edge.data.scene.light import draw_light
from segfast_edge.data.scene.shadows import Shadows, hull
from segfast_edge.data.scene.street import draw_street

SIZE = (60, 80)
CAMERA = Camera.looking(100.0, (80.0, 60.0), (0.5, 1.4, 0.0), (0.1, 0.06, -0.03))


def test_axes_are_a_right_handed_frame():
    axes = np.array(CAMERA.axes)
    assert axes @ axes.T == pytest.approx(np.eye(3), abs=1e-12)
    assert np.cross(axes[1], axes[2]) == pytest.approx(axes[0])


def test_a_ray_through_a_points_pixel_passes_through_the_point():
    rays = CAMERA.rays(SIZE)
    for row, column in ((5, 7), (40, 70), (59, 0)):
        point = tuple(np.array(CAMERA.position) + 6.5 * rays[row, column])
        seen = CAMERA.seen(point)
        assert seen[2] == pytest.approx(6.5, rel=1e-5)
        x, y = CAMERA.pixel(seen)
        assert x / OVERSAMPLING == pytest.approx(column + 0.5, abs=1e-3)
        assert y / OVERSAMPLING == pytest.approx(row + 0.5, abs=1e-3)


def test_ground_painted_from_rays_meets_polygons_projected_on_it():
    """The road's edge by label and the same edge drawn as a polygon must coincide, or objects would float."""
    rng = np.random.default_rng(8)
    street = draw_street(rng)
    rays = CAMERA.rays(SIZE).reshape(-1, 3)
    down = rays[:, 1] < -0.02
    spot = spots(rays[down], CAMERA, street)
    _, labels = ground(spot, street, draw_surface(rng))
    by_ray = np.zeros(SIZE, bool).reshape(-1)
    by_ray[down] = labels == ROAD
    light = draw_light(rng)
    canvas = Canvas(np.zeros((*SIZE, 3), np.uint8), np.zeros(SIZE, np.uint8), CAMERA, light)
    steps = [0.5 * k for k in range(140)]
    edge = [street.at(-street.half, z) for z in steps] + [street.at(street.half, z) for z in reversed(steps)]
    canvas.face(edge, (0, 0, 0), CAR)
    by_polygon = canvas.finished()[1] == CAR
    area = down.reshape(SIZE)
    area[:-25] = False  # the far end of the polygon
    assert (by_ray.reshape(SIZE) == by_polygon)[area].mean() > 0.98


def test_what_is_behind_the_camera_is_cut_off():
    behind = [(-1.0, 0.0, -5.0), (1.0, 0.0, -5.0), (1.0, 0.0, -3.0)]
    assert CAMERA.outline(behind) == []
    across = [(-1.0, 0.0, -5.0), (1.0, 0.0, -5.0), (1.0, 0.0, 9.0), (-1.0, 0.0, 9.0)]
    assert len(CAMERA.outline(across)) == 4
    assert all(math.isfinite(x) and math.isfinite(y) for x, y in CAMERA.outline(across))
    assert min(CAMERA.seen(p)[2] for p in across) < NEAR


def test_a_hull_holds_every_point_and_only_corners():
    rng = np.random.default_rng(0)
    points = [tuple(p) for p in rng.uniform(-1, 1, (60, 2))]
    corners = hull(points)
    for (ax, ay), (bx, by) in zip(corners, corners[1:] + corners[:1], strict=True):
        assert all((bx - ax) * (y - ay) - (by - ay) * (x - ax) >= -1e-12 for x, y in points)
    assert set(corners) <= set(points)
    square = [(0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0), (0.5, 0.5), (0.5, 0.0)]
    assert sorted(hull(square)) == [(0.0, 0.0), (0.0, 1.0), (1.0, 0.0), (1.0, 1.0)]


def test_a_pixel_gets_the_label_that_most_of_it_has():
    canvas = Canvas(
        np.zeros((2, 2, 3), np.uint8), np.zeros((2, 2), np.uint8), CAMERA, draw_light(np.random.default_rng(0))
    )
    for at, label in (((0, 0), 5), ((1, 0), 5), ((0, 1), 5), ((2, 0), 7), ((2, 2), 3), ((3, 3), 3)):
        canvas.labels.putpixel(at, label)
    assert canvas.finished()[1].tolist() == [[5, 0], [0, 3]]


def test_shadow_falls_away_from_the_sun_and_darkens_only_the_ground_it_covers():
    light = next(
        light
        for light in (draw_light(np.random.default_rng(seed)) for seed in range(99))
        if light.shadow > 0.4 and abs(light.sun[0]) > 0.3
    )
    shadows = Shadows(CAMERA, light, SIZE)
    post = [(-0.3, 0.0, 8.0), (0.3, 0.0, 8.0), (0.3, 0.0, 8.6), (-0.3, 0.0, 8.6)]
    shadows.cast(post, 2.0)
    reach = 1.0 / light.sun[1]
    away = (-light.sun[0] * reach, 0.0, 8.3 - light.sun[2] * reach)
    towards = (light.sun[0] * reach, 0.0, 8.3 + light.sun[2] * reach)
    assert shadows.lit(away) == 0.0
    assert shadows.lit(towards) == 1.0
    factor = shadows.factor(0.1)
    assert factor.max() == pytest.approx(1.0)
    assert factor.min() < 0.7


def test_noise_tiles_without_a_seam():
    field = noise.cloud(0)
    assert field.mean() == pytest.approx(0, abs=1e-4)
    assert field.std() == pytest.approx(1, abs=1e-4)
    inner = np.abs(np.diff(field, axis=1)).mean()
    seam = np.abs(field[:, 0] - field[:, -1]).mean()
    assert seam < 2 * inner
