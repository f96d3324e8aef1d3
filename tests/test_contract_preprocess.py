import numpy as np
import pytest
from PIL import Image

from segfast_edge.contract.classes import ClassSet, distinct_palette
from segfast_edge.contract.masks import class_shares, mask_at
from segfast_edge.contract.overlay import colour_mask, overlay
from segfast_edge.contract.preprocess import Preprocess, parse_size
from segfast_edge.errors import DataError

CLASSES = ClassSet(("road", "car"), ((10, 20, 30), (200, 100, 0)))


def test_resizing_is_pillows_own_and_a_frame_of_the_right_size_is_untouched():
    frame = np.random.default_rng(1).integers(0, 256, (48, 64, 3), np.uint8)
    wanted = np.asarray(Image.fromarray(frame).resize((40, 32), Image.Resampling.BILINEAR))
    assert np.array_equal(Preprocess(32, 40).image(frame), wanted)
    assert np.array_equal(Preprocess(48, 64).image(frame), frame)


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (np.zeros((4, 4, 3), np.float32), "float32; expected uint8"),
        (np.zeros((4, 4), np.uint8), "expected height x width x 3"),
        (np.zeros((4, 4, 4), np.uint8), "expected height x width x 3"),
        (np.zeros((0, 4, 3), np.uint8), "expected height x width x 3"),
    ],
)
def test_a_frame_is_judged_by_type_and_shape_never_by_its_pixels(frame, message):
    with pytest.raises(DataError, match=message):
        Preprocess().image(frame)


def test_label_resizing_invents_no_class():
    labels = np.tile(np.array([[0, 7], [7, 0]], np.uint8), (30, 40))
    assert set(np.unique(Preprocess(37, 53).labels(labels))) == {0, 7}


def test_json_round_trip_keeps_every_field():
    preprocess = Preprocess(360, 480, "area", (0.1, 0.2, 0.3), (0.4, 0.5, 0.6))
    assert Preprocess.from_json(preprocess.to_json()) == preprocess
    assert ClassSet.from_json(CLASSES.to_json()) == CLASSES


@pytest.mark.parametrize(("text", "size"), [("360x480", (360, 480)), ("224", (224, 224)), ("32X64", (32, 64))])
def test_sizes_are_read(text, size):
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "x", "10x", "1x2x3", "-5x5", "abc", "8x8", "9000x10", "²x²"])
def test_a_wrong_size_is_refused(text):
    with pytest.raises(DataError, match=r"size|input"):
        parse_size(text)


@pytest.mark.parametrize(
    "arguments",
    [
        (("one",), ((0, 0, 0),)),
        (("a", "a"), ((0, 0, 0), (1, 1, 1))),
        (("a", "b"), ((0, 0, 0),)),
        (("a", "b"), ((0, 0, 0), (0, 0, 256))),
        (("a", "b"), ((0, 0, 0), (1, 1, 1)), 1),
    ],
)
def test_a_class_set_validates_itself(arguments):
    with pytest.raises(DataError):
        ClassSet(*arguments)


def test_palettes_hold_different_colours():
    assert len(set(distinct_palette(150))) == 150


def test_mask_colours_overlay_and_shares():
    mask = mask_at(np.array([[0, 1]], np.uint8), (2, 4))
    assert mask.tolist() == [[0, 0, 1, 1]] * 2
    coloured = colour_mask(mask, CLASSES)
    assert coloured[0, 0].tolist() == [10, 20, 30]
    frame = np.full((2, 4, 3), 100, np.uint8)
    assert overlay(frame, mask, CLASSES, 0.0).tolist() == frame.tolist()
    assert overlay(frame, mask, CLASSES, 1.0).tolist() == coloured.tolist()
    assert overlay(frame, mask, CLASSES)[0, 3].tolist() == [150, 100, 50]
    assert class_shares(mask, CLASSES) == {"road": 0.5, "car": 0.5}
    with pytest.raises(DataError, match="bring the mask"):
        overlay(frame, mask[:1], CLASSES)
