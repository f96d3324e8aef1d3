"""Sky and ground, pixel by pixel: every ray is followed to the clouds or to the road's surface."""

import numpy as np

from segfast_edge.contract.shared.images import Labels
from segfast_edge.data.scene import chance
from segfast_edge.data.scene.camera import OVERSAMPLING, Camera
from segfast_edge.data.scene.chance import Field, pick, within
from segfast_edge.data.scene.classes import PAVEMENT, ROAD, TREE
from segfast_edge.data.scene.light import Light, Rgb
from segfast_edge.data.scene.street import Street

# where rays meet the ground: metres across and along the street, the pixel's width and depth there; 4 x count
Spots = Field
Noise = tuple[float, int, float]  # size of a grain in metres, which cloud (-1: independent values), brightness
_ASPHALT: tuple[Noise, ...] = ((0.11, 0, 5), (0.9, 1, 3), (0.025, -1, 5))
_STONE: tuple[Noise, ...] = ((0.3, 1, 4), (0.03, -1, 4))
_LAWN: tuple[Noise, ...] = ((0.05, -1, 10), (0.12, 0, 8), (1.1, 2, 7))
_WHITE, _YELLOW = (232, 230, 222), (214, 176, 60)


def sky(rays: np.ndarray, light: Light, rng: np.random.Generator) -> np.ndarray:
    """Return the sky's colours, float32, for rays count x 3 that point upwards."""
    rays = rays / np.sqrt(np.einsum("ij,ij->i", rays, rays))[:, None]
    horizon, zenith, cloud, sun = (
        np.array(part, np.float32) for part in (light.horizon, light.zenith, light.cloud_colour, light.sun)
    )
    rise = np.clip(rays[:, 1], 0, 1)
    colours = horizon + (np.sqrt(rise) * 1.15).clip(0, 1)[:, None] * (zenith - horizon)
    away = np.clip(rays @ sun, 0, 1) - 1
    glow = 0.16 * np.exp(6 * away) + 0.3 * np.exp(36 * away) + 0.8 * np.exp(300 * away)
    glow *= np.float32(max(light.direct) * (1 - light.clouds * 0.5))
    colours += glow[:, None] * np.array([255, 236, 196], np.float32)
    above = np.float32(rng.uniform(30, 75)) / (rise + np.float32(0.06))
    rows, columns = (rays[:, axis] * above + np.float32(rng.uniform(0, 256)) for axis in (2, 0))
    thick = chance.smooth(chance.cloud(int(rng.integers(3))), rows, columns) - np.float32(1.3 - 2.6 * light.clouds)
    cover = np.clip(thick * 0.9, 0, 1)
    cover *= cover * (3 - 2 * cover) * np.clip(rise * 9, 0, 1)
    under = np.clip(1.1 - 0.16 * thick, 0.7, 1)
    return np.asarray(colours + cover[:, None] * (under[:, None] * cloud - colours))


def spots(rays: np.ndarray, camera: Camera, street: Street) -> Spots:
    """Follow rays, count x 3, all of which point down, to the ground."""
    eye = camera.position
    distance = np.minimum(np.float32(eye[1]) / np.maximum(-rays[:, 1], 1e-4), np.float32(400))
    along = np.float32(eye[2]) + distance * rays[:, 2]
    across = np.float32(eye[0]) + distance * rays[:, 0] - np.float32(street.bend / 2) * along * along
    wide = distance * np.float32(OVERSAMPLING / camera.focal)
    return np.stack((across, along, wide, np.maximum(distance * wide / np.float32(eye[1]), np.float32(1e-3))))


def _rough(spot: Spots, rng: np.random.Generator, noises: tuple[Noise, ...]) -> Field:
    """Return the sum of noises, each fading out if a pixel covers many of its grains."""
    total, cover = np.zeros_like(spot[0]), np.sqrt(spot[2] * spot[3])
    for size, seed, bright in noises:
        columns, rows = (part / size + within(rng, (4000, 4256)) for part in spot[:2])
        field = chance.grain() if seed < 0 else chance.cloud(seed)
        total += chance.nearest(field, rows, columns) * np.minimum(bright, 1.5 * size * bright / cover)
    return np.asarray(total)


def ground(spot: Spots, street: Street, rng: np.random.Generator) -> tuple[np.ndarray, Labels]:
    """Return the ground's own colours, count x 3 float32, and its labels."""
    side = np.abs(spot[0])
    verge = (side > street.half + 0.18) & (side < street.walk)
    green = verge | (side > street.plots) if street.grass else verge
    labels = np.where(side < street.half, np.uint8(ROAD), np.where(green, np.uint8(TREE), np.uint8(PAVEMENT)))
    stone, warm, lush = within(rng, (128, 186)), within(rng, (-4, 20)), within(rng, (0, 1))
    colours = np.empty((side.size, 3), np.float32)
    road, lawn, paved = (np.flatnonzero(labels == label) for label in (ROAD, TREE, PAVEMENT))
    colours[road] = _road(spot[:, road], street, rng)
    grass, speckles = (92 + 46 * (1 - lush), 112 + 20 * lush, 52 + 8 * lush), _rough(spot[:, lawn], rng, _LAWN)
    colours[lawn] = np.array(grass) + speckles[:, None] * [1, 0.9, 0.5]
    slab, (across, along, wide, deep) = pick(rng, (0.45, 0.6, 0.9, 2.4)), spot[:, paved]
    joints = np.maximum(_dashes(along, 0.02, slab, deep), _dashes(across, 0.02, slab, wide))
    shade = _rough(spot[:, paved], rng, (*_STONE, (slab, -1, 5))) - joints * 55
    colours[paved] = np.array((stone + warm, stone + warm * 0.4, stone - warm * 0.5)) + shade[:, None]
    edge = np.flatnonzero(np.abs(side - street.half) < 1)
    kerb = _band(side[edge], street.half + 0.09, 0.18, spot[2, edge])[:, None]
    colours[edge] += kerb * (np.float32(stone * 0.5 + 92) - colours[edge])
    colours[edge] *= 1 - 0.45 * _band(side[edge], street.half - 0.05, 0.1, spot[2, edge])[:, None]
    return colours, labels


def _road(spot: Spots, street: Street, rng: np.random.Generator) -> np.ndarray:
    grey, tint, wear = within(rng, (78, 132)), within(rng, (-5, 6)), within(rng, (0.05, 0.75))
    middle = np.mod(spot[0] + street.half, street.lane) - street.lane / 2
    shade = _rough(spot, rng, _ASPHALT) - 5 * np.exp(-(((np.abs(middle) - 0.75) / 0.3) ** 2))
    cracks = np.abs(_rough(spot, rng, ((0.06, 2, 1),))) < 0.02 * wear
    shade -= cracks * 22 * np.clip(0.06 / spot[2], 0, 1)
    colours = np.array((grey + tint, grey, grey - tint + 2), np.float32) + shade[:, None]
    worn = np.clip(1 - wear * (0.45 + _rough(spot, rng, ((0.05, 2, 0.5),))), 0, 1)
    edge: Rgb = _YELLOW if not street.right_hand and rng.random() < 0.5 else _WHITE
    for cover, colour in zip(_painted(spot, street, rng), (_WHITE, edge), strict=True):
        colours += (cover * worn)[:, None] * (np.array(colour, np.float32) - colours)
    return np.asarray(colours)


def _painted(spot: Spots, street: Street, rng: np.random.Generator) -> tuple[Field, Field]:
    """Return how much of each pixel is under lane paint and under the paint along the kerbs."""
    (across, along, wide, deep), half = spot, street.half
    lines, (painted, period) = np.zeros_like(across), pick(rng, ((3.0, 6.0), (2.0, 6.0), (4.0, 12.0)))
    dashes = _dashes(along + np.float32(within(rng, (0, 12))), painted, period, deep)
    for number in range(1, street.lanes):
        away = np.abs(across - number * street.lane + half)
        double = street.lanes == 4 and number == 2
        lines = np.maximum(lines, _band(away, 0.12, 0.12, wide) if double else _band(away, 0.0, 0.13, wide) * dashes)
    width, insets = pick(rng, (0.0, 0.1, 0.15)), pick(rng, ((0.3,), (0.3,), (0.3, 0.55)))
    edges = np.maximum.reduce([_band(np.abs(across), half - inset, width, wide) for inset in insets])
    if street.crossing is None:
        return lines, edges
    zone = _band(along, street.crossing + 1.5, 3.0, deep)
    bars = _dashes(across + half, 0.5, 1.0, wide) * (np.abs(across) < half - 0.15)
    stop = _band(along, street.crossing - 1.2, 0.3, deep) * ((across > 0) == street.right_hand)
    kept = 1 - _band(along, street.crossing + 0.7, 5.0, deep)
    return np.maximum(np.maximum(lines * kept, zone * bars), stop), edges * kept


def _band(at: Field, middle: float, width: float, footprint: Field) -> Field:
    """Return the share of each pixel's footprint that a band of ``width`` around ``middle`` covers."""
    low = np.maximum(at - footprint / 2, middle - width / 2)
    high = np.minimum(at + footprint / 2, middle + width / 2)
    return np.asarray(np.clip((high - low) / footprint, 0, 1))


def _dashes(at: Field, painted: float, period: float, footprint: Field) -> Field:
    """Return the share of the footprint that dashes cover: the difference of an integral, so it never flickers."""
    ends = np.stack((at - footprint / 2, at + footprint / 2))
    until = np.floor(ends / period) * painted + np.minimum(np.mod(ends, period), painted)
    return np.asarray((until[1] - until[0]) / footprint, np.float32)
