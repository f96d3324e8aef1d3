import numpy as np
import pytest

from segfast_edge.data.augmentation import PADDING_COLOUR, Augmentation, generator
from segfast_edge.errors import DataError

STILL = {"scale": (1.0, 1.0), "flip": 0.0, "brightness": 0, "contrast": 0, "saturation": 0, "hue": 0, "blur": 0.0}


def pair(size=(40, 60)):
    """A frame whose colour says which label its pixel has."""
    rng = np.random.default_rng(5)
    labels = np.kron(rng.integers(0, 5, (size[0] // 10, size[1] // 10)), np.ones((10, 10))).astype(np.uint8)
    return np.stack([labels * 40 + 30] * 3, axis=-1).astype(np.uint8), labels


def test_the_same_seed_epoch_and_index_give_the_same_pair_and_others_do_not():
    frame, labels = pair()
    augmentation = Augmentation((32, 32), padding=11)
    first, again = (augmentation.apply(frame, labels, generator(1, 2, 3)) for _ in range(2))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    for other in ((0, 2, 3), (1, 0, 3), (1, 2, 0)):
        assert not np.array_equal(first[0], augmentation.apply(frame, labels, generator(*other))[0])


def test_with_everything_off_only_the_size_changes():
    frame, labels = pair()
    got, ids = Augmentation(labels.shape, **STILL).apply(frame, labels, generator(0, 0, 0))
    assert np.array_equal(got, frame)
    assert np.array_equal(ids, labels)


@pytest.mark.parametrize("index", range(20))
def test_labels_stay_on_their_pixels_whatever_the_geometry(index):
    frame, labels = pair()
    only_geometry = STILL | {"scale": (0.5, 2.0), "flip": 0.5}
    got, ids = Augmentation((48, 48), padding=11, **only_geometry).apply(frame, labels, generator(0, 0, index))
    assert got.shape == (48, 48, 3)
    assert ids.shape == (48, 48)
    assert set(np.unique(ids)) <= {0, 1, 2, 3, 4, 11}
    real = ids != 11
    agree = np.abs(got[..., 0].astype(int) - (ids.astype(int) * 40 + 30))[real] < 20
    assert agree.mean() > 0.85  # bilinear edges between blocks are neither colour
    assert np.array_equal(real, ~np.all(got == PADDING_COLOUR, axis=-1))


def test_shrinking_without_a_void_label_repeats_the_edge_instead():
    frame, labels = pair()
    shrunk = Augmentation((40, 60), **STILL | {"scale": (0.5, 0.5)})
    got, ids = shrunk.apply(frame, labels, generator(0, 0, 1))
    assert set(np.unique(ids)) <= set(np.unique(labels))
    assert ids.shape == (40, 60)
    assert got.shape == (40, 60, 3)


def test_a_flip_mirrors_both():
    frame, labels = pair()
    got, ids = Augmentation(labels.shape, **STILL | {"flip": 1.0}).apply(frame, labels, generator(0, 0, 0))
    assert np.array_equal(got, frame[:, ::-1])
    assert np.array_equal(ids, labels[:, ::-1])


@pytest.mark.parametrize("what", ["brightness", "contrast", "saturation", "hue"])
def test_each_colour_change_changes_the_frame_and_never_the_labels(what):
    rng = np.random.default_rng(0)
    frame, labels = rng.integers(0, 256, (20, 20, 3), np.uint8), pair((20, 20))[1]
    got, ids = Augmentation((20, 20), **STILL | {what: 0.4}).apply(frame, labels, generator(0, 0, 0))
    assert np.abs(got.astype(int) - frame).mean() > 2
    assert np.array_equal(ids, labels)


def test_hue_and_saturation_leave_grey_alone_and_contrast_keeps_the_mean():
    grey = np.full((16, 16, 3), 100, np.uint8)
    labels = np.zeros((16, 16), np.uint8)
    for what in ("hue", "saturation", "contrast"):
        got, _ = Augmentation((16, 16), **STILL | {what: 0.4}).apply(grey, labels, generator(0, 0, 0))
        assert np.abs(got.astype(int) - 100).max() <= 1


def test_blur_smooths():
    frame = np.zeros((16, 16, 3), np.uint8)
    frame[:, 8:] = 255
    got, _ = Augmentation((16, 16), **STILL | {"blur": 1.0}).apply(frame, frame[..., 0] // 255, generator(0, 0, 0))
    assert 0 < got[8, 7, 0] < 255


def test_a_window_is_a_share_of_the_picture_in_which_objects_keep_their_size():
    whole = Augmentation((96, 128), scale=(0.5, 2.0))
    window = whole.window(0.5)
    assert window.size == (48, 64)
    assert window.scale == (1.0, 4.0)  # against all of the frame squeezed into the window
    assert whole.window(1.0) == whole


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"scale": (2.0, 0.5)}, "scale"),
        ({"scale": (0.0, 1.0)}, "scale"),
        ({"flip": 1.5}, "flip is 1.5"),
        ({"hue": 0.7}, "hue is 0.7"),
        ({"contrast": 1.0}, "contrast is 1.0"),
    ],
)
def test_a_setting_out_of_range_is_refused(wrong, message):
    with pytest.raises(DataError, match=message):
        Augmentation((32, 32), **wrong)


def test_a_pair_that_does_not_fit_is_refused():
    frame, labels = pair()
    with pytest.raises(DataError, match="labels are uint8"):
        Augmentation((32, 32)).apply(frame, labels[1:], generator(0, 0, 0))
    with pytest.raises(DataError, match="frame is float64"):
        Augmentation((32, 32)).apply(frame / 255, labels, generator(0, 0, 0))
