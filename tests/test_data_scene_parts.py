import math
from dataclasses import replace
from typing import get_args

import numpy as np
import pytest

from segfast_edge.data.scene import chance
from segfast_edge.data.scene.buildings import draw_boundaries, draw_houses
from segfast_edge.data.scene.camera import NEAR, OVERSAMPLING, Camera, Pose
from segfast_edge.data.scene.canvas import Canvas
from segfast_edge.data.scene.classes import CAR, ROAD, SIGN
from segfast_edge.data.scene.greenery import draw_tree
from segfast_edge.data.scene.ground import ground, spots
from segfast_edge.data.scene.light import draw_light
from segfast_edge.data.scene.people import draw_cyclist, draw_pedestrian
from segfast_edge.data.scene.poles import Kind, draw_pole
from segfast_edge.data.scene.street import draw_street
from segfast_edge.data.scene.thing import Brush, Shadows, Thing, rectangle
from segfast_edge.data.scene.vehicles import draw_vehicle

SIZE = (60, 80)
CAMERA = Camera.looking(100.0, (80.0, 60.0), (0.5, 1.4, 0.0), (0.1, 0.06, -0.03))
NOTHING = 250  # a label that no thing has


def camera_of(size):
    centre = (size[1] * OVERSAMPLING / 2, size[0] * OVERSAMPLING / 2)
    return replace(CAMERA, focal=CAMERA.focal * size[1] / SIZE[1], centre=centre)


def empty_canvas(size, light, backdrop=0):
    frame, labels = np.full((*size, 3), backdrop, np.uint8), np.full(size, NOTHING, np.uint8)
    return Canvas(frame, labels, camera_of(size), light)


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
    _, labels = ground(spots(rays[down], CAMERA, street), street, rng)
    by_ray = np.zeros(SIZE, bool).reshape(-1)
    by_ray[down] = labels == ROAD
    canvas = empty_canvas(SIZE, draw_light(rng))
    steps = [0.5 * k for k in range(140)]
    edge = [street.at(street.half, z) for z in steps] + [street.at(-street.half, z) for z in reversed(steps)]
    assert Brush(canvas, Pose((0.0, 0.0, 0.0)), CAR).face(edge, (0, 0, 0))
    by_polygon = canvas.finished()[1] == CAR
    area = down.reshape(SIZE)
    area[:-25] = False  # the far end of the polygon
    assert (by_ray.reshape(SIZE) == by_polygon)[area].mean() > 0.98


def test_what_is_behind_the_camera_is_cut_off():
    behind = [(-1.0, 0.0, -5.0), (1.0, 0.0, -5.0), (1.0, 0.0, -3.0)]
    assert CAMERA.outline(CAMERA.all_seen(behind)) == []
    across = [(-1.0, 0.0, -5.0), (1.0, 0.0, -5.0), (1.0, 0.0, 9.0), (-1.0, 0.0, 9.0)]
    assert len(CAMERA.outline(CAMERA.all_seen(across))) == 4
    assert all(math.isfinite(x) and math.isfinite(y) for x, y in CAMERA.outline(CAMERA.all_seen(across)))
    assert min(CAMERA.seen(p)[2] for p in across) < NEAR


def test_a_thing_described_by_itself_is_seen_where_it_is_in_the_world():
    pose = Pose.turned((-1.5, 0.0, 9.0), 0.7)
    for own in ((0.0, 0.0, 0.0), (0.4, 1.8, -0.3), (-0.2, 0.9, 2.5)):
        assert CAMERA.beside(pose).seen(own) == pytest.approx(CAMERA.seen(pose.at(own)))


def test_a_face_is_painted_only_from_the_side_it_faces():
    towards = [(-1.0, 0.0, 5.0), (1.0, 0.0, 5.0), (1.0, 2.0, 5.0), (-1.0, 2.0, 5.0)]
    for corners, seen in ((towards, True), (towards[::-1], False)):
        canvas = empty_canvas(SIZE, draw_light(np.random.default_rng(0)))
        assert Brush(canvas, Pose((0.0, 0.0, 0.0)), CAR).face(corners, (9, 9, 9)) == seen
        assert (canvas.finished()[1] == CAR).any() == seen


def draw_things():
    """One of everything that is painted, as named draws at a pose."""
    rng = np.random.default_rng(5)
    street = draw_street(rng)
    yield "walker", lambda pose: draw_pedestrian(rng, pose)
    yield "rider", lambda pose: draw_cyclist(rng, pose)
    yield "tree", lambda pose: draw_tree(rng, pose.foot)
    yield "bush", lambda pose: draw_tree(rng, pose.foot, small=True)
    for number in range(8):
        yield f"vehicle {number}", lambda pose: draw_vehicle(rng, pose, moving=True, ahead=True)
    for kind in get_args(Kind):
        yield kind, lambda pose, kind=kind: draw_pole(rng, kind, pose, 1)
    for number, thing in enumerate([*draw_houses(street, rng)[:4], *draw_boundaries(street, rng)[:8]]):
        yield f"wall {number}", lambda pose, thing=thing: replace(thing, pose=pose)


@pytest.mark.parametrize(("name", "draw"), list(draw_things()))
@pytest.mark.parametrize("turn", [0.0, 1.0, 2.5])
def test_exactly_what_is_painted_of_a_thing_carries_its_label(name, draw, turn):
    """Painted over black and over white, a pixel that looks alike belongs to the thing, and only such a pixel does."""
    thing = draw(Pose.turned((-0.5, 0.0, 7.0), turn))
    light = next(light for light in map(draw_light, map(np.random.default_rng, range(99))) if light.lamps == 1)
    painted = []
    for backdrop in (0, 255):
        canvas = empty_canvas((240, 320), light, backdrop)
        thing.paint_on(canvas, 0.6)
        painted.append(np.asarray(canvas.image))
    alike = (painted[0][..., :3] == painted[1][..., :3]).all(-1)
    labelled = painted[0][..., 3] != NOTHING
    assert (alike == labelled).all(), name
    assert set(np.unique(painted[0][labelled][:, 3])) <= {thing.label, SIGN}
    assert labelled.any() or "wall" in name  # a wall may turn its back on the camera


def test_a_pixel_gets_the_label_that_most_of_it_has():
    canvas = empty_canvas((2, 2), draw_light(np.random.default_rng(0)))
    labels = canvas.image.load()
    for at, label in (((0, 0), 5), ((1, 0), 5), ((0, 1), 5), ((2, 0), 7), ((2, 2), 3), ((3, 3), 3)):
        labels[at] = (0, 0, 0, label)
    assert canvas.finished()[1].tolist() == [[5, NOTHING], [NOTHING, 3]]


def test_shadow_falls_away_from_the_sun_and_darkens_only_the_ground_it_covers():
    light = next(
        light
        for light in (draw_light(np.random.default_rng(seed)) for seed in range(99))
        if light.shadow > 0.4 and abs(light.sun[0]) > 0.3
    )
    shadows = Shadows(camera_of((240, 320)), light, (240, 320))
    post = Thing(Pose((0.0, 0.0, 8.3)), rectangle(0.3, -0.3, 0.3), 2.0, CAR, lambda _: None)
    assert shadows.of(post) == 1.0  # nothing was there before it
    reach = 1.0 / light.sun[1]
    away, towards = (
        replace(post, pose=Pose((side * light.sun[0] * reach, 0.0, 8.3 + side * light.sun[2] * reach)), high=0.01)
        for side in (-1, 1)
    )
    assert shadows.of(away) == 0.0
    assert shadows.of(towards) == 1.0
    factor = shadows.factor(0.1)
    assert factor.max() == pytest.approx(1.0)
    assert factor.min() < 0.7


def test_noise_tiles_without_a_seam():
    field = chance.cloud(0)
    assert field.mean() == pytest.approx(0, abs=1e-4)
    assert field.std() == pytest.approx(1, abs=1e-4)
    inner = np.abs(np.diff(field, axis=1)).mean()
    seam = np.abs(field[:, 0] - field[:, -1]).mean()
    assert seam < 2 * inner
