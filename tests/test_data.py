import json
import logging
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segfast_edge.contract.classes import ClassSet
from segfast_edge.data import Protocol, Sample, datasets, native_size, open_dataset, open_source
from segfast_edge.data.protocol import VOID_NAME, padding_label
from segfast_edge.errors import DataError

CAMVID = Path(__file__).resolve().parents[2] / "shared" / "camvid"
STANDARD = Protocol.named("standard", (20, 30))
PAPER = Protocol.named("paper", (20, 30))


def write_pair(root, name, labels, *, split="", image="images", label="labels"):
    """Write an image and its label file as PNG; ``labels`` is a number for all pixels, or an array."""
    ids = np.full((20, 30), labels, np.uint8) if np.isscalar(labels) else np.asarray(labels, np.uint8)
    for folder in (root / image / split, root / label / split):
        folder.mkdir(parents=True, exist_ok=True)
    frame = np.stack([ids * 10] * 3, axis=-1).astype(np.uint8)
    Image.fromarray(frame).save(root / image / split / f"{name}.png")
    Image.fromarray(ids).save(root / label / split / f"{name}.png")


def write_classes(root, **content):
    (root / "classes.json").write_text(json.dumps(content))


@pytest.fixture
def own(tmp_path):
    """A folder of one's own with three pairs and three named classes."""
    for number in range(3):
        write_pair(tmp_path, f"photo {number}", number)
    write_classes(tmp_path, names=["road", "sky", "car"])
    return tmp_path


def test_the_shipped_datasets_are_found_by_listing():
    assert {"camvid", "folder", "scenes"} <= set(datasets())


def test_the_paper_protocol_is_224_and_counts_void():
    assert PAPER.preprocess().size == (224, 224)
    published = ClassSet(("road", "sky"), ((1, 2, 3), (4, 5, 6)), ignored=255)
    counted = PAPER.classes(published)
    assert counted.names == ("road", "sky", VOID_NAME)
    assert counted.ignored is None
    assert PAPER.describe(counted) == "paper: 224x224, 3 classes, void counted as a class"
    assert padding_label(counted) == 2


def test_the_standard_protocol_keeps_the_published_size_and_ignores_void():
    published = ClassSet(("road", "sky"), ((1, 2, 3), (4, 5, 6)), ignored=255)
    assert STANDARD.preprocess().size == (20, 30)
    assert STANDARD.classes(published) == published
    assert STANDARD.describe(published) == "standard: 20x30, 2 classes, void ignored"
    assert padding_label(published) == 255


def test_a_set_without_void_stays_as_it_is_under_both_protocols():
    whole = ClassSet(("road", "sky"), ((1, 2, 3), (4, 5, 6)), ignored=None)
    assert PAPER.classes(whole) == whole
    assert PAPER.describe(whole) == "paper: 224x224, 2 classes, every pixel labelled"
    assert padding_label(whole) is None


def test_a_size_overrides_that_of_either_protocol():
    assert Protocol.named("paper", (20, 30), (64, 96)).preprocess().size == (64, 96)
    assert Protocol.named("standard", (20, 30), (64, 96)).preprocess().size == (64, 96)


def test_an_unknown_protocol_is_refused():
    with pytest.raises(DataError, match="unknown protocol 'papre'"):
        Protocol.named("papre", (20, 30))


def test_under_paper_ignored_pixels_become_the_last_class(own):
    write_pair(own, "photo 0", [[255, 1] * 15] * 20)
    dataset = open_dataset("folder", own, "all", PAPER)
    assert dataset.classes.names == ("road", "sky", "car", VOID_NAME)
    assert np.unique(dataset[0].labels).tolist() == [1, 3]
    assert np.unique(open_dataset("folder", own, "all", STANDARD)[0].labels).tolist() == [1, 255]


def test_a_folder_without_splits_is_divided_by_name_and_never_overlaps(tmp_path):
    for number in range(20):
        write_pair(tmp_path, f"{number:02}", number % 2)
    names = {
        split: {s.name for s in open_dataset("folder", tmp_path, split, STANDARD)} for split in ("all", "train", "val")
    }
    assert len(names["val"]) == 4
    assert names["train"] | names["val"] == names["all"]
    assert not names["train"] & names["val"]


def test_a_folder_with_splits_has_just_those(tmp_path):
    write_pair(tmp_path, "a", 0, split="train")
    write_pair(tmp_path, "b", 1, split="val")
    assert open_source("folder", tmp_path).splits == ("train", "val")
    assert [s.name for s in open_dataset("folder", tmp_path, "val", STANDARD)] == ["b"]
    with pytest.raises(DataError, match="unknown split 'test'"):
        open_dataset("folder", tmp_path, "test", STANDARD)


def test_without_a_class_list_the_classes_are_counted_over_all_splits_and_it_is_said(tmp_path, caplog):
    write_pair(tmp_path, "a", 0, split="train")
    write_pair(tmp_path, "b", [[4, 255] * 15] * 20, split="val")
    with caplog.at_level(logging.WARNING):
        dataset = open_dataset("folder", tmp_path, "train", STANDARD)
    assert dataset.classes.names == tuple(f"class {k}" for k in range(5))
    assert dataset.classes.ignored == 255
    assert "2 label files hold ids up to 4, so 5 classes" in caplog.text


def test_a_class_list_may_give_colours_and_the_ignored_value(tmp_path):
    write_pair(tmp_path, "a", [[0, 9] * 15] * 20)
    write_classes(tmp_path, names=["road", "sky"], palette=[[1, 2, 3], [4, 5, 6]], ignored=9)
    dataset = open_dataset("folder", tmp_path, "all", STANDARD)
    assert dataset.classes == ClassSet(("road", "sky"), ((1, 2, 3), (4, 5, 6)), 9)
    assert np.unique(dataset[0].labels).tolist() == [0, 9]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "not readable"),
        ("[1, 2]", "holds a list"),
        ('{"colours": []}', "no 'names'"),
        ('{"names": "road"}', "names is not a list of texts"),
        ('{"names": ["road"]}', "got 1 classes; expected 2 to 255"),
        ('{"names": ["road", "road"]}', "class names repeat"),
        ('{"names": ["road", "sky"], "palette": [[1, 2, 3]]}', "1 colours for 2 classes"),
        ('{"names": ["road", "sky"], "palette": [[1, 2, 3], [4, 5]]}', "malformed"),
        ('{"names": ["road", "sky"], "palette": [[1, 2, 3], [4, 5, 600]]}', "not three values from 0 to 255"),
        ('{"names": ["road", "sky"], "ignored": 1}', "ignored label 1 must lie from 2"),
        ('{"names": ["road", "sky"], "ignored": "no"}', "malformed"),
    ],
)
def test_a_malformed_class_list_is_one_clear_line(own, content, message):
    (own / "classes.json").write_text(content)
    with pytest.raises(DataError, match=message) as caught:
        open_source("folder", own)
    assert "classes.json" in str(caught.value)


def test_a_label_out_of_range_names_file_value_and_place(own):
    labels = np.zeros((20, 30), np.uint8)
    labels[7, 9] = 17
    write_pair(own, "photo 1", labels)
    with pytest.raises(DataError, match=r"photo 1\.png has value 17 at row 7, column 9; allowed: 0-2, 255"):
        open_dataset("folder", own, "all", STANDARD)[1]


def test_a_missing_partner_is_named(own):
    (own / "labels" / "photo 1.png").unlink()
    (own / "labels" / "photo 2.png").unlink()
    with pytest.raises(DataError, match=r"no label for .*photo 1\.png and 1 more"):
        open_dataset("folder", own, "all", STANDARD)


def test_a_label_without_its_image_is_named(own):
    (own / "images" / "photo 1.png").unlink()
    with pytest.raises(DataError, match=r"no image for .*photo 1\.png"):
        open_dataset("folder", own, "all", STANDARD)


def test_a_corrupt_image_is_named(own):
    path = own / "images" / "photo 1.png"
    path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(DataError, match=r"photo 1\.png is not a readable image"):
        open_dataset("folder", own, "all", STANDARD)[1]


def test_a_colour_label_is_refused_not_guessed_from(own):
    Image.new("RGB", (30, 20), (128, 64, 128)).save(own / "labels" / "photo 1.png")
    with pytest.raises(DataError, match="the colours of the classes are not known"):
        open_dataset("folder", own, "all", STANDARD)[1]


def test_an_image_of_another_size_than_its_labels_is_refused(own):
    Image.new("RGB", (32, 20)).save(own / "images" / "photo 1.png")
    with pytest.raises(DataError, match=r"sample photo 1: the image is 20x32 and its labels 20x30"):
        open_dataset("folder", own, "all", STANDARD)[1]


def test_two_images_of_one_stem_are_refused(own):
    Image.new("RGB", (30, 20)).save(own / "images" / "photo 1.jpg")
    with pytest.raises(DataError, match="have the same stem"):
        open_dataset("folder", own, "all", STANDARD)


def test_an_empty_folder_or_none_at_all_is_refused(tmp_path):
    with pytest.raises(DataError, match="no folder 'images'"):
        open_source("folder", tmp_path)
    (tmp_path / "images").mkdir()
    (tmp_path / "labels").mkdir()
    with pytest.raises(DataError, match=r"no image in .*images has a label"):
        open_source("folder", tmp_path)
    with pytest.raises(DataError, match="no such folder"):
        open_source("folder", tmp_path / "nowhere")
    with pytest.raises(DataError, match="needs its folder"):
        open_source("folder", None)


def test_one_picture_cannot_be_split(tmp_path):
    write_pair(tmp_path, "a", [[0, 1] * 15] * 20)
    with pytest.raises(DataError, match=r"1 picture\(s\) cannot be split"):
        open_dataset("folder", tmp_path, "train", STANDARD)


def test_a_sample_is_a_pair_of_one_size():
    with pytest.raises(DataError, match="sample x"):
        Sample("x", np.zeros((4, 5, 3), np.uint8), np.zeros((5, 4), np.uint8))


def test_camvid_in_its_published_layout(tmp_path):
    write_pair(tmp_path, "0001TP_1", [[0, 11] * 15] * 20, image="train", label="trainannot")
    write_pair(tmp_path, "0001TP_2", 3, image="test", label="testannot")
    source = open_source("camvid", tmp_path)
    assert source.splits == ("train", "test")
    assert source.size == (360, 480)
    assert source.classes.ignored == 11
    assert source.classes.names[3] == "Road"
    assert source.classes.palette[4] == (60, 40, 222)
    assert np.unique(source.open("train")[0].labels).tolist() == [0, 11]


def test_camvid_under_paper_keeps_its_ids_and_gains_the_class_void(tmp_path):
    write_pair(tmp_path, "0001TP_1", [[0, 11] * 15] * 20, image="train", label="trainannot")
    dataset = open_dataset("camvid", tmp_path, "train", PAPER)
    assert len(dataset.classes) == 12
    assert np.unique(dataset[0].labels).tolist() == [0, 11]


def test_a_folder_that_is_not_camvid_is_refused(tmp_path):
    with pytest.raises(DataError, match="is not CamVid"):
        open_source("camvid", tmp_path)


@pytest.mark.skipif(not CAMVID.is_dir(), reason=f"no CamVid at {CAMVID}")
def test_camvid_itself():
    assert native_size("camvid", CAMVID) == (360, 480)
    protocol = Protocol.named("standard", native_size("camvid", CAMVID))
    train, val = (open_dataset("camvid", CAMVID, split, protocol) for split in ("train", "val"))
    assert (len(train), len(val)) == (367, 101)
    sample = val[0]
    assert sample.frame.shape == (360, 480, 3)
    assert set(np.unique(sample.labels)) <= set(range(12))
