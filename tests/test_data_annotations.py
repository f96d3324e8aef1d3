"""Datasets that mark objects with polygons, run lengths and masks: COCO, labelme, YOLO, CVAT."""

import json

import numpy as np
import pytest
from PIL import Image

from segfast_edge.cli import main
from segfast_edge.data import open_source
from segfast_edge.data.recognise import recognise
from segfast_edge.errors import DataError

HIGH, WIDE = 20, 30


def save(path, pixels=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(len(path.name)).integers(0, 256, (HIGH, WIDE, 3), np.uint8)
    Image.fromarray(noise if pixels is None else np.asarray(pixels, np.uint8)).save(path)


def write(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(value if isinstance(value, str) else json.dumps(value))


def box(top, left, bottom, right):
    """A rectangle's corners as x, y, x, y ..."""
    return [left, top, right, top, right, bottom, left, bottom]


def word(source, labels, y, x):
    label = labels[y, x]
    return source.classes.names[label] if label < len(source.classes) else None


CATEGORIES = [{"id": 7, "name": "car"}, {"id": 3, "name": "road"}]


def coco(root, objects, kind="instances", splits=("train", "val"), categories=CATEGORIES):
    for split in splits:
        save(root / f"{split}2017/{split}1.jpg")
        save(root / f"{split}2017/{split}2.jpg")
        images = [
            {"id": n, "file_name": f"{split}{n}.jpg", "height": HIGH, "width": WIDE} for n in (1, 2)
        ]  # the second has no object
        write(
            root / f"annotations/{kind}_{split}2017.json",
            {"images": images, "annotations": [{"image_id": 1, **o} for o in objects], "categories": categories},
        )


# row by row by hand: a column of 20 pixels at x = 2, in COCO's order of columns
COLUMN = {"size": [HIGH, WIDE], "counts": [2 * HIGH, HIGH, HIGH * (WIDE - 3)]}


def test_coco_instances_draw_small_over_large_and_background_around(tmp_path):
    pytest.importorskip("pycocotools")
    small = {"category_id": 7, "segmentation": [box(4, 10, 8, 14), box(12, 10, 15, 14)]}
    large = {"category_id": 3, "segmentation": [box(0, 8, 20, 30)]}
    coco(tmp_path, [small, large, {"category_id": 7, "segmentation": COLUMN, "iscrowd": 1}])
    name, source = recognise(tmp_path)
    assert (name, source.splits) == ("coco", ("train", "val"))
    assert source.classes.names == ("background", "road", "car")
    labels = source.open("val")[0].labels
    assert labels.shape == (HIGH, WIDE)
    assert [word(source, labels, y, x) for y, x in ((5, 12), (13, 12), (18, 20), (10, 2), (10, 4))] == [
        "car", "car", "road", "car", "background",
    ]  # fmt: skip
    assert (labels == 2).sum() == pytest.approx(4 * 4 + 3 * 4 + 20, abs=9)
    assert not source.open("val")[1].labels.any()
    ignoring = open_source("coco:background=ignored", tmp_path)
    assert ignoring.classes.names == ("road", "car")
    assert ignoring.open("val")[1].labels.min() == 255


def test_coco_kinds_are_chosen_never_guessed(tmp_path):
    pytest.importorskip("pycocotools")
    one = [{"category_id": 3, "segmentation": [box(0, 0, 20, 30)]}]
    coco(tmp_path, one)
    coco(tmp_path, one, "stuff")
    with pytest.raises(DataError, match="instances and stuff of COCO; choose with --data coco:kind=instances"):
        recognise(tmp_path)
    stuff = open_source("coco:kind=stuff", tmp_path)
    assert stuff.classes.names == ("road", "car")
    assert stuff.open("train")[1].labels.min() == 255
    with pytest.raises(DataError, match="unknown kind of COCO annotations 'panoptic'"):
        open_source("coco:kind=panoptic", tmp_path)


def test_coco_panoptic_reads_segments_from_the_colours_of_its_png(tmp_path):
    for split in ("train", "val"):
        coco(tmp_path, [], "panoptic", (split,))
        path = tmp_path / f"annotations/panoptic_{split}2017.json"
        value = json.loads(path.read_text())
        value["annotations"] = [
            {
                "image_id": n,
                "file_name": f"{split}{n}.png",
                "segments_info": [{"id": 5, "category_id": 3}, {"id": 70000, "category_id": 7}],
            }
            for n in (1, 2)
        ]
        write(path, value)
        for n in (1, 2):
            numbers = np.full((HIGH, WIDE), 5)
            numbers[:, 10:], numbers[:, 20:] = 70000, 0
            save(
                tmp_path / f"annotations/panoptic_{split}2017/{split}{n}.png",
                np.dstack([numbers & 255, numbers >> 8 & 255, numbers >> 16]),
            )
    source = recognise(tmp_path)[1]
    labels = source.open("val")[1].labels
    assert [word(source, labels, 3, x) for x in (1, 12, 25)] == ["road", "car", None]
    save(tmp_path / "annotations/panoptic_val2017/val1.png", np.full((HIGH, WIDE, 3), 9))
    with pytest.raises(DataError, match="has segment 592137, which no annotation names"):
        source.open("val")[0]


def test_coco_in_the_layout_that_roboflow_exports(tmp_path):
    pytest.importorskip("pycocotools")
    for split in ("train", "valid"):
        save(tmp_path / split / "a.jpg")
        value = {
            "images": [{"id": 0, "file_name": "a.jpg", "height": HIGH, "width": WIDE}],
            "annotations": [{"image_id": 0, "category_id": 3, "segmentation": [box(0, 0, 20, 30)]}],
            "categories": CATEGORIES,
        }
        write(tmp_path / split / "_annotations.coco.json", value)
    source = recognise(tmp_path)[1]
    assert source.splits == ("train", "val")
    assert word(source, source.open("val")[0].labels, 9, 9) == "road"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"segmentation": [[1, 2, 3]]}, "annotation of .*val1.jpg"),
        ({"category_id": 99}, "annotation of .*val1.jpg: KeyError 99"),
        ({"segmentation": {"size": [HIGH, WIDE]}}, "annotation of .*val1.jpg: KeyError 'counts'"),
    ],
)
def test_a_malformed_annotation_of_coco_is_named(tmp_path, change, message):
    pytest.importorskip("pycocotools")
    coco(tmp_path, [{"category_id": 3, "segmentation": [box(0, 0, 20, 30)], **change}])
    with pytest.raises(DataError, match=message):
        recognise(tmp_path)[1].open("val")[0]


def test_coco_names_pictures_that_are_missing_and_splits_of_other_categories(tmp_path):
    coco(tmp_path, [])
    coco(tmp_path, [], splits=("val",), categories=[{"id": 1, "name": "tree"}, *CATEGORIES])
    source = recognise(tmp_path)[1]
    with pytest.raises(DataError, match="names other categories than the other splits"):
        source.open("val")[0]
    (tmp_path / "train2017/train2.jpg").unlink()
    with pytest.raises(DataError, match=r"no image for .*train2\.jpg"):
        source.open("train")


def labelme(root, name, shapes):
    save(root / f"{name}.jpg")
    write(
        root / f"{name}.json",
        {
            "version": "5.0",
            "shapes": shapes,
            "imagePath": f"..\\x\\{name}.jpg",
            "imageHeight": HIGH,
            "imageWidth": WIDE,
        },
    )


def shape(label, points, kind="polygon"):
    return {"label": label, "points": points, "shape_type": kind}


def test_labelme_draws_its_shapes_in_their_order(tmp_path):
    shapes = [
        shape("road", [[0, 0], [29, 0], [29, 19], [0, 19]]),
        shape("car", [[2, 2], [9, 9]], "rectangle"),
        shape("sign", [[20, 10], [20, 14]], "circle"),
        shape("__ignore__", [[2, 2], [4, 2], [4, 4], [2, 4]]),
        shape("_background_", [[0, 16], [4, 16], [4, 19], [0, 19]]),
    ]
    labelme(tmp_path, "a", shapes)
    labelme(tmp_path, "b", [])
    name, source = recognise(tmp_path)
    assert (name, source.classes.names) == ("labelme", ("background", "car", "road", "sign"))
    labels = source.open("all")[0].labels
    places = ((1, 1), (8, 8), (10, 20), (3, 3), (18, 2), (10, 27))
    assert [word(source, labels, y, x) for y, x in places] == ["road", "car", "sign", None, "background", "road"]
    assert (labels == 3).sum() == pytest.approx(np.pi * 4.5**2, rel=0.1)  # Pillow fills the outline too
    assert not source.open("all")[1].labels.any()
    (tmp_path / "labels.txt").write_text("__ignore__\n_background_\nroad\ncar\n")
    with pytest.raises(DataError, match=r"annotation .*a\.json: 'sign' is missing, or no class"):
        recognise(tmp_path)[1].open("all")[0]


def test_labelme_refuses_what_is_no_area(tmp_path):
    labelme(tmp_path / "train", "a", [shape("road", [[0, 0], [9, 9]], "line"), shape("car", [])])
    source = recognise(tmp_path)[1]
    assert source.splits == ("train",)
    with pytest.raises(DataError, match="shape 'line' is not an area"):
        source.open("train")[0]


def yolo(root, text, names="names: [road, car]\n", form="images/{}"):
    pytest.importorskip("yaml")
    for split in ("train", "val"):
        save(root / form.format(split) / "a.jpg")
        save(root / form.format(split) / "b.jpg")
        write(root / form.format(split).replace("images", "labels") / "a.txt", text)
    write(root / "data.yaml", names)


@pytest.mark.parametrize("form", ["images/{}", "{}/images"])
@pytest.mark.parametrize("names", ["names: [road, car]\n", "names:\n  0: road\n  1: car\n", "names:\n- road\n- car\n"])
def test_yolo_s_polygons_are_drawn_at_the_picture_s_size(tmp_path, form, names):
    yolo(tmp_path, "0 0 0 1 0 1 1 0 1\n\n1 0.25 0.25 0.5 0.25 0.5 0.5 0.25 0.5\n", names, form)
    name, source = recognise(tmp_path)
    assert (name, source.splits) == ("yolo", ("train", "val"))
    assert source.classes.names == ("background", "road", "car")
    labels = source.open("val")[0].labels
    assert [word(source, labels, y, x) for y, x in ((2, 2), (7, 10), (15, 20))] == ["road", "car", "road"]
    assert not source.open("val")[1].labels.any()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0 0.5 0.5 0.1 0.1\n", "line 1 is a box, not a polygon"),
        ("0 0 0 1 0 1 1\n2 0 0 1 0 1 1\n", "line 2: .* is not one of 2 classes"),
        ("0 0 0 1 0 1\n", "is not one of 2 classes and a polygon"),
        ("road 0 0 1 0 1 1\n", "is not a class and a polygon"),
    ],
)
def test_a_line_of_yolo_that_is_no_polygon_is_named(tmp_path, text, message):
    yolo(tmp_path, text)
    with pytest.raises(DataError, match=message):
        recognise(tmp_path)[1].open("val")[0]


@pytest.mark.parametrize("names", ["", "names: 3\n", "names: {1: a, 2: b}\n", "names: [\n"])
def test_yolo_without_names_is_refused(tmp_path, names):
    yolo(tmp_path, "0 0 0 1 0 1 1\n", names)
    with pytest.raises(DataError, match=r"data\.yaml"):
        open_source("yolo", tmp_path)


def cvat(root, elements, subset=""):
    save(root / "images/a.png")
    save(root / "images/b.png")
    write(
        root / "annotations.xml",
        "<annotations><meta><job><labels><label><name>road</name><color>#804080</color></label>"
        "<label><name>car</name><color>#00008e</color></label></labels></job></meta>"
        f'<image id="0" name="a.png" width="{WIDE}" height="{HIGH}" {subset}>{elements}</image>'
        f'<image id="1" name="b.png" width="{WIDE}" height="{HIGH}"></image></annotations>',
    )


def test_cvat_draws_by_depth_and_reads_its_run_lengths(tmp_path, caplog):
    elements = (
        '<polygon label="car" z_order="1" points="2.0,2.0;8.0,2.0;8.0,8.0;2.0,8.0"/>'
        '<polygon label="road" z_order="0" points="0,0;29,0;29,19;0,19"/>'
        '<mask label="car" z_order="2" rle="1,2,3" left="20" top="10" width="3" height="2"/>'
        '<box label="car" xtl="1" ytl="1" xbr="2" ybr="2"/>'
    )
    cvat(tmp_path, elements)
    name, source = recognise(tmp_path)
    assert (name, source.splits) == ("cvat", ("all", "train", "val"))
    assert source.classes.names == ("background", "road", "car")
    assert source.classes.palette[1:] == ((128, 64, 128), (0, 0, 142))
    labels = source.open("all")[0].labels
    assert labels[10:12, 20:23].tolist() == [[1, 2, 2], [1, 1, 1]]
    assert [word(source, labels, y, x) for y, x in ((5, 5), (15, 5), (1, 1))] == ["car", "road", "road"]
    assert not source.open("all")[1].labels.any()
    assert "has a box, which is no area and is left out" in caplog.text


@pytest.mark.parametrize(
    "element",
    [
        '<polygon label="tree" points="0,0;1,1;2,0"/>',
        '<polygon label="car" points="0,0;1;2,0"/>',
        '<mask label="car" rle="1,2" left="0" top="0" width="3" height="2"/>',
    ],
)
def test_a_malformed_element_of_cvat_names_its_picture(tmp_path, element):
    cvat(tmp_path, element)
    with pytest.raises(DataError, match=r"annotation of .*a\.png is malformed"):
        recognise(tmp_path)[1].open("all")[0]


def test_annotations_are_converted_and_checked_like_any_other(tmp_path, capsys):
    cvat(tmp_path / "in", '<polygon label="road" points="0,0;29,0;29,9;0,9"/>')
    assert main(["data", "convert", str(tmp_path / "in"), "-o", str(tmp_path / "out")]) == 0
    before, after = recognise(tmp_path / "in")[1], open_source("folder", tmp_path / "out")
    assert after.classes == before.classes
    assert np.array_equal(before.open("all")[0].labels, after.open("all")[0].labels)
    capsys.readouterr()
    assert main(["data", "check", str(tmp_path / "in"), "--json"]) == 0
    assert not any("smoothed" in line for line in json.loads(capsys.readouterr().out)["warnings"])
