"""Doubtful pictures: drawn scenes with known faults, and JPEGs cut as real cameras cut them."""

import io

import numpy as np
import pytest
from fuzzing import tries
from hypothesis import assume, given
from hypothesis import strategies as st
from PIL import Image

from segfast_edge.errors import DataError
from targets.runner.decoding import Encoded
from targets.runner.doubtful_picture import BLACK, COVERED, OVEREXPOSED, doubt_of
from targets.runner.inputs._drawing import draw_road

SIZES = st.tuples(st.integers(96, 400), st.integers(96, 500))


def street(size, phase, noise):
    """Return a drawn road with a sensor's noise."""
    drawn = np.asarray(draw_road(size, phase), np.float32)
    return np.clip(drawn + noise.normal(0, 3, drawn.shape), 0, 255)


@tries(60)
@given(SIZES, st.floats(0, 1), st.integers(0, 2**32), st.floats(0.35, 1.3))
def test_a_street_in_any_light_of_day_is_not_doubtful(size, phase, seed, light):
    picture = np.clip(street(size, phase, np.random.default_rng(seed)) * light, 0, 255)
    assert doubt_of(picture.astype(np.uint8)) == ""


@tries(60)
@given(SIZES, st.floats(0, 1), st.integers(0, 2**32), st.sampled_from(["left", "right", "bottom"]), st.floats(2, 22))
def test_a_lens_half_covered_is_seen_whichever_half(size, phase, seed, half, dark):
    noise = np.random.default_rng(seed)
    picture, (height, width) = street(size, phase, noise), size
    where = {"left": np.s_[:, : width // 2], "right": np.s_[:, width // 2 :], "bottom": np.s_[height // 2 :]}[half]
    picture[where] = np.clip(noise.normal(dark, 2, picture[where].shape), 0, 255)
    assert doubt_of(picture.astype(np.uint8)) == COVERED


@tries(40)
@given(SIZES, st.integers(0, 2**32), st.floats(0, 10))
def test_black_and_overexposed_are_seen_through_a_sensors_noise(size, seed, level):
    noise = np.random.default_rng(seed).normal(0, 2, (*size, 3))
    assert doubt_of(np.clip(level + noise, 0, 255).astype(np.uint8)) == BLACK
    assert doubt_of(np.clip(260 - level / 5 + noise, 0, 255).astype(np.uint8)) == OVEREXPOSED


def jpeg(picture, **options):
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, "JPEG", **options)
    return stream.getvalue()


OPTIONS = st.fixed_dictionaries(
    {"quality": st.integers(40, 95), "subsampling": st.integers(0, 2)},
    optional={"optimize": st.booleans(), "restart_marker_blocks": st.integers(1, 50)},
)


@tries(60)
@given(SIZES, st.integers(0, 2**32), OPTIONS, st.floats(0.2, 0.85), st.sampled_from([b"", bytes(100), b"\xff\xd9"]))
def test_a_jpeg_cut_anywhere_is_refused_although_it_ends_as_one_and_a_whole_one_is_not(size, seed, options, part, end):
    data = jpeg(street(size, 0.3, np.random.default_rng(seed)).astype(np.uint8), **options)
    assert Encoded(data, "frame").decode(None)[1] == size
    assert Encoded(data, "frame").decode((16, 16))[1] == size  # at a reduced scale, too
    header = data.index(b"\xff\xda") + 14
    cut = data[: header + int((len(data) - header) * part)]
    assume(cut[-1:] != b"\xff")
    for at_least in (None, (16, 16)):
        with pytest.raises(DataError, match="cannot be decoded"):
            Encoded(cut + end + b"\xff\xd9", "frame").decode(at_least)


@tries(30)
@given(SIZES, st.integers(0, 2**32), st.integers(40, 95))
def test_a_progressive_jpeg_that_lacks_scans_is_refused(size, seed, quality):
    data = jpeg(street(size, 0.3, np.random.default_rng(seed)).astype(np.uint8), quality=quality, progressive=True)
    assert Encoded(data, "frame").decode(None)[1] == size
    scans = [at for at in range(len(data) - 1) if data[at : at + 2] == b"\xff\xda"]
    for at in scans[1:]:
        with pytest.raises(DataError, match="cannot be decoded"):
            Encoded(data[:at] + b"\xff\xd9", "frame").decode(None)
