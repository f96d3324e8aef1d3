import hashlib
import subprocess
import sys

import numpy as np
import pytest

from segfast_edge.data import Protocol, open_dataset, open_source
from segfast_edge.data.scene import CLASSES, render
from segfast_edge.data.scene.classes import CAR, PAVEMENT, ROAD, SKY, VOID
from segfast_edge.errors import DataError

SMALL = "scenes:size=96x128,train=5,val=3,test=2"


def open_small(split, text=SMALL):
    return open_dataset(text, None, split, Protocol.named("standard", (96, 128)))


def digest(frame, labels):
    return hashlib.sha256(frame.tobytes() + labels.tobytes()).hexdigest()


def test_a_seed_gives_the_same_bytes_in_another_process():
    code = (
        "import hashlib; from segfast_edge.data.scene import render; f, l = render((3, 0, 4), (96, 128));"
        "print(hashlib.sha256(f.tobytes() + l.tobytes()).hexdigest())"
    )
    # in between, this process has drawn others: no state may leak from one scene to the next
    render((9, 9, 9), (96, 128))
    there = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    assert digest(*render((3, 0, 4), (96, 128))) == there


def test_no_scene_is_in_two_splits_and_another_seed_gives_others():
    seen = [digest(s.frame, s.labels) for split in ("train", "val", "test") for s in open_small(split)]
    assert len(seen) == 5 + 3 + 2
    assert len(set(seen)) == len(seen)
    other = open_small("train", SMALL + ",seed=1")[0]
    assert digest(other.frame, other.labels) not in seen


def test_frame_and_labels_have_the_size_asked_for_and_only_known_classes():
    assert CLASSES.ignored == VOID
    for sample in open_small("train"):
        assert sample.frame.shape == (96, 128, 3)
        assert sample.frame.dtype == np.uint8
        assert sample.labels.shape == (96, 128)
        assert set(np.unique(sample.labels)) <= {*range(len(CLASSES)), VOID}


def test_scenes_hold_every_class_and_look_like_streets():
    shares = np.zeros(12)
    for index in range(24):
        labels = render((0, 0, index), (96, 128))[1]
        shares += np.bincount(labels.ravel(), minlength=12) / labels.size / 24
        assert (labels[-30:] == ROAD).mean() > 0.1
        assert (labels[-20:] == SKY).sum() == 0
    assert shares[ROAD] > 0.15
    assert shares[PAVEMENT] > 0.02
    assert shares[CAR] > 0.01
    assert (shares[:11] > 0.0005).all(), dict(zip(CLASSES.names, shares[:11].round(4), strict=True))
    assert 0 < shares[VOID] < 0.1


def explained(frame, labels):
    """Share of the brightness's variance that knowing the label explains."""
    grey = frame.mean(axis=-1)
    within = sum(grey[labels == k].var() * (labels == k).mean() for k in np.unique(labels))
    return 1 - within / grey.var()


def test_labels_belong_to_their_own_picture():
    scenes = [render((2, 0, index), (96, 128)) for index in range(6)]
    own = np.mean([explained(frame, labels) for frame, labels in scenes])
    strange = np.mean([explained(frame, np.roll(labels, 40, axis=1)[::-1]) for frame, labels in scenes])
    assert own > 0.2
    assert own > 1.5 * strange


def test_the_paper_protocol_counts_the_bonnet_as_a_class():
    dataset = open_dataset(SMALL, None, "val", Protocol.named("paper", (96, 128)))
    assert dataset.classes.names[-1] == "Unlabelled"
    assert dataset.classes.ignored is None
    assert len(dataset) == 3


def test_a_wide_or_a_tall_picture_is_drawn_too():
    for size in ((64, 200), (160, 80)):
        frame, labels = render((5, 1), size)
        assert frame.shape == (*size, 3)
        assert labels.shape == size


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("scenes:sede=3", "unknown scenes option 'sede'. Did you mean 'seed'"),
        ("scenes:train=-4", "not a whole number"),
        ("scenes:train", "not key=value"),
        ("scenes:size=4x4", "outside 16"),
        ("camvid:seed=3", "unknown camvid option 'seed'"),
        ("folder:seed=3", "unknown folder option 'seed'"),
        ("scene", "unknown dataset 'scene'. Did you mean 'scenes'"),
    ],
)
def test_a_wrong_name_or_option_says_what_is_allowed(text, message):
    with pytest.raises(DataError, match=message):
        open_source(text, None)


def test_a_split_that_is_not_there_is_named():
    with pytest.raises(DataError, match=r"unknown split 'valid'\. Did you mean 'val'"):
        open_source("scenes", None).open("valid")


def test_an_index_past_the_end_ends_a_loop():
    assert len(list(open_small("test"))) == 2
