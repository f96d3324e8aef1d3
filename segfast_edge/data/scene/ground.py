"""Sky and ground, pixel by pixel: every ray is followed to the clouds or to the road's surface."""

from dataclasses import dataclass

import numpy as np

from segfast_edge.contract.shared.images import Labels
from segfast_edge.data.scene import noise
from segfast_edge.data.scene.camera import OVERSAMPLING, Camera
from segfast_edge.data.scene.chance import pick
from segfast_edge.data.scene.classes import PAVEMENT, ROAD, TREE
from segfast_edge.data.scene.light import Light, Rgb
from segfast_edge.data.scene.noise import Field
from segfast_edge.data.scene.street import Street

FAR = 400.0  # metres; beyond this the ground is haze


@dataclass(frozen=True, slots=True)
class Surface:
    """How this street's ground looks: colours 0 to 255, wear 0 to 1, and what is painted on it."""

    asphalt: Rgb
    stone: Rgb
    kerb: Rgb
    grass: Rgb
    paint: Rgb
    wear: float
    slab: float  # side of a paving slab in metres
    dash: tuple[float, float]  # painted metres out of how many
    edge_line: float  # width, 0 where there is none
    double: bool  # two edge lines instead of one
    yellow: bool
    wet: float
    offset: tuple[float, float]  # where in the endless textures this street lies


def draw_surface(rng: np.random.Generator) -> Surface:
    """Draw the materials."""
    grey, tint = rng.uniform(78, 132), rng.uniform(-5, 6)
    stone, warm = rng.uniform(128, 186), rng.uniform(-4, 20)
    lush = rng.uniform(0, 1)
    return Surface(
        asphalt=(grey + tint, grey, grey - tint + 2),
        stone=(stone + warm, stone + warm * 0.4, stone - warm * 0.5),
        kerb=(stone * 0.5 + 95, stone * 0.5 + 93, stone * 0.5 + 88),
        grass=(92 + 46 * (1 - lush), 112 + 20 * lush, 52 + 8 * lush),
        paint=(232, 230, 222),
        wear=float(rng.uniform(0.05, 0.75)),
        slab=pick(rng, (0.45, 0.6, 0.9, 2.4)),
        dash=pick(rng, ((3.0, 6.0), (2.0, 6.0), (4.0, 12.0))),
        edge_line=pick(rng, (0.0, 0.1, 0.15)),
        double=bool(rng.uniform() < 0.35),
        yellow=bool(rng.uniform() < 0.35),
        wet=float(max(0.0, rng.uniform(-0.8, 0.5))),
        offset=(float(rng.uniform(0, 4000)), float(rng.uniform(0, 4000))),
    )


def _band(at: Field, middle: float | Field, width: float, footprint: Field) -> Field:
    """Return the share of each pixel's footprint that a band of ``width`` around ``middle`` covers."""
    low = np.maximum(at - footprint / 2, middle - width / 2)
    high = np.minimum(at + footprint / 2, middle + width / 2)
    return np.asarray(np.clip((high - low) / footprint, 0, 1))


def _dashes(at: Field, painted: float, period: float, footprint: Field) -> Field:
    """Return the share of the footprint that dashes cover: the difference of an integral, so it never flickers."""

    def until(x: Field) -> Field:
        return np.asarray(np.floor(x / period) * painted + np.minimum(np.mod(x, period), painted), np.float32)

    half = footprint * np.float32(0.5)
    return np.asarray((until(at + half) - until(at - half)) / footprint, np.float32)


def sky(rays: np.ndarray, light: Light, rng: np.random.Generator) -> np.ndarray:
    """Return the sky's colours, float32, for rays count x 3 that point upwards."""
    rays = rays / np.sqrt(np.einsum("ij,ij->i", rays, rays))[:, None]
    rise = np.clip(rays[:, 1], 0, 1)
    blend = (np.sqrt(rise) * 1.15).clip(0, 1)[..., None]
    colours = np.array(light.horizon, np.float32) * (1 - blend) + np.array(light.zenith, np.float32) * blend
    towards = np.clip(rays @ np.array(light.sun, np.float32), 0, 1)
    strength = max(light.direct) * (1 - light.clouds * 0.5)
    wide = towards * towards
    wide *= wide * wide  # a power of six; powers of floats are slow
    tight = wide * wide * wide
    tight *= tight
    core = tight * tight
    core *= core
    core *= core
    glow = (wide * 0.16 + tight * 0.3 + core * core * 0.8) * strength
    colours += glow[..., None] * np.array([255, 236, 196], np.float32)
    reach = np.float32(rng.uniform(30, 75))
    above = rise + np.float32(0.06)
    rows = rays[:, 2] / above * reach + np.float32(rng.uniform(0, 256))
    columns = rays[:, 0] / above * reach * np.float32(0.8) + np.float32(rng.uniform(0, 256))
    field = noise.cloud(int(rng.integers(3)), octaves=6, coarsest=4)
    thick = noise.smooth(field, rows, columns)
    threshold = np.float32(1.3 - 2.6 * light.clouds)
    cover = np.clip((thick - threshold) * 0.9, 0, 1)
    cover = (cover * cover * (3 - 2 * cover) * np.clip(rise * 9, 0, 1))[..., None]
    under = np.clip(1 - 0.16 * np.clip(thick - threshold - 0.6, 0, 2), 0.7, 1)[..., None]
    return np.asarray(colours * (1 - cover) + np.array(light.cloud_colour, np.float32) * under * cover)


@dataclass(frozen=True, slots=True)
class Spot:
    """Where rays meet the ground: metres across and along the street, and the pixel's footprint. One number per ray."""

    across: Field
    along: Field
    wide: Field
    deep: Field

    def where(self, mask: np.ndarray) -> "Spot":
        """Return those that ``mask`` picks."""
        return Spot(self.across[mask], self.along[mask], self.wide[mask], self.deep[mask])


def spots(rays: np.ndarray, camera: Camera, street: Street) -> Spot:
    """Follow rays, count x 3, all of which point down, to the ground."""
    eye = camera.position
    distance = np.minimum(np.float32(eye[1]) / np.maximum(-rays[:, 1], 1e-4), np.float32(FAR))
    along = np.float32(eye[2]) + distance * rays[:, 2]
    across = np.float32(eye[0]) + distance * rays[:, 0] - np.float32(street.bend / 2) * along * along
    step = np.float32(OVERSAMPLING / camera.focal)
    return Spot(across, along, distance * step, np.maximum(distance * distance * (step / np.float32(eye[1])), 1e-3))


def ground(spot: Spot, street: Street, surface: Surface) -> tuple[np.ndarray, Labels]:
    """Return the ground's own colours, count x 3 float32, and its labels."""
    side = np.abs(spot.across)
    first = street.half + street.verge
    road = side < street.half
    green = (side > first + street.pavement) if street.grass else np.zeros(side.shape, bool)
    if street.verge:
        green |= (side > street.half + 0.18) & (side < first)
    stone = ~(road | green)
    colours = np.empty((side.size, 3), np.float32)
    colours[road] = _asphalt(spot.where(road), street, surface)
    colours[green] = _lawn(spot.where(green), surface)
    colours[stone] = _slabs(spot.where(stone), surface)
    edge = np.flatnonzero((side > street.half - 1) & (side < street.half + 1))
    near = spot.where(edge)
    kerb = _band(side[edge], street.half + 0.09, 0.18, near.wide)[:, None]
    gutter = _band(side[edge], street.half - 0.05, 0.1, near.wide)[:, None]
    lined = colours[edge] * (1 - kerb) + np.array(surface.kerb, np.float32) * kerb
    colours[edge] = lined * (1 - 0.45 * gutter)
    labels = np.where(road, np.uint8(ROAD), np.where(green, np.uint8(TREE), np.uint8(PAVEMENT)))
    return colours, labels


def _grain(spot: Spot, texel_m: float, surface: Surface, seed: int) -> Field:
    """Return noise of that grain, fading out where a pixel covers many grains."""
    rows = (spot.along + surface.offset[0]) / texel_m
    columns = (spot.across + surface.offset[1]) / texel_m
    fade = np.minimum(1, 1.5 * texel_m / np.sqrt(spot.wide * spot.deep))
    field = noise.grain() if seed < 0 else noise.cloud(seed)
    return np.asarray(noise.nearest(field, rows, columns) * fade)


def _asphalt(spot: Spot, street: Street, surface: Surface) -> np.ndarray:
    stains = _grain(spot, 0.11, surface, 0) * 5 + _grain(spot, 0.9, surface, 1) * 3
    shade = stains + _grain(spot, 0.025, surface, -1) * 5
    middle = np.mod(spot.across + street.half, street.lane) - street.lane / 2
    tracks = np.exp(-(((np.abs(middle) - 0.75) / 0.3) ** 2))
    shade -= tracks * 5
    cracks = np.abs(_grain(spot, 0.06, surface, 2)) < 0.02 * surface.wear
    shade -= cracks * 22 * np.clip(0.06 / spot.wide, 0, 1)
    colours = np.array(surface.asphalt, np.float32) + shade[..., None]
    painted = _paint(spot, street, surface)
    worn = np.clip(1 - surface.wear * (0.45 + 0.5 * _grain(spot, 0.05, surface, 2)), 0, 1)
    yellow = surface.yellow and not street.right_hand
    edge = np.array((214, 176, 60) if yellow else surface.paint, np.float32)
    for cover, colour in zip(painted, (np.array(surface.paint, np.float32), edge), strict=True):
        share = (cover * worn)[..., None]
        colours = colours * (1 - share) + colour * share
    return np.asarray(colours)


def _paint(spot: Spot, street: Street, surface: Surface) -> tuple[Field, Field]:
    """Return how much of each pixel is under lane paint and under the paint along the kerbs."""
    painted, period = surface.dash
    lines = np.zeros(spot.across.shape, np.float32)
    dashes = _dashes(spot.along + np.float32(surface.offset[0]), painted, period, spot.deep)
    for number in range(1, street.lanes):
        at = number * street.lane - street.half
        solid = street.lanes == 4 and number == 2
        if solid:
            lines = np.maximum(lines, _band(np.abs(spot.across - at), 0.12, 0.12, spot.wide))
        else:
            lines = np.maximum(lines, _band(spot.across, at, 0.13, spot.wide) * dashes)
    edges = np.zeros(spot.across.shape, np.float32)
    if surface.edge_line:
        for inset in (0.3, 0.55) if surface.double else (0.3,):
            edges = np.maximum(edges, _band(np.abs(spot.across), street.half - inset, surface.edge_line, spot.wide))
    if street.crossing is not None:
        zone = _band(spot.along, street.crossing + 1.5, 3.0, spot.deep)
        bars = _dashes(spot.across + street.half, 0.5, 1.0, spot.wide) * (np.abs(spot.across) < street.half - 0.15)
        stop = _band(spot.along, street.crossing - 1.2, 0.3, spot.deep) * (
            spot.across * (1 if street.right_hand else -1) > 0
        )
        kept = np.clip(1 - _band(spot.along, street.crossing + 0.7, 5.0, spot.deep), 0, 1)
        lines, edges = np.maximum(np.maximum(lines * kept, zone * bars), stop), edges * kept
    return lines, edges


def _slabs(spot: Spot, surface: Surface) -> np.ndarray:
    slab = surface.slab
    joint = np.maximum(_dashes(spot.along, 0.02, slab, spot.deep), _dashes(spot.across, 0.02, slab, spot.wide))
    tone = _grain_of_slab(spot, slab, surface)
    shade = _grain(spot, 0.3, surface, 1) * 4 + _grain(spot, 0.03, surface, -1) * 4 + tone - joint * 55
    return np.asarray(np.array(surface.stone, np.float32) + shade[..., None])


def _grain_of_slab(spot: Spot, slab: float, surface: Surface) -> Field:
    return _grain(spot, slab, surface, -1) * np.float32(5)


def _lawn(spot: Spot, surface: Surface) -> np.ndarray:
    shade = (
        _grain(spot, 0.05, surface, -1) * 10 + _grain(spot, 0.12, surface, 0) * 8 + _grain(spot, 1.1, surface, 2) * 7
    )
    return np.asarray(np.array(surface.grass, np.float32) + shade[..., None] * np.array([1, 0.9, 0.5], np.float32))
