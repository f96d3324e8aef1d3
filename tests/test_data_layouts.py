"""Public datasets in the layouts that people have them in, read in place and converted."""

import json

import numpy as np
import pytest
from PIL import Image, ImageDraw

from segfast_edge.cli import main
from segfast_edge.data import Protocol, open_dataset, open_source
from segfast_edge.data.cityscapes_classes import NINETEEN
from segfast_edge.data.recognise import recognise
from segfast_edge.errors import DataError

SIZE = (20, 30)


def save(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(pixels, np.uint8)).save(path)


def frame(seed=0):
    return np.random.default_rng(seed).integers(0, 256, (*SIZE, 3), np.uint8)


def values(*ids):
    """Labels of the test size that hold just these ids, column by column."""
    return np.resize(np.array(ids, np.uint8), SIZE)


def colours(*parts):
    """Labels of the test size in these colours, column by column."""
    return np.array(parts, np.uint8)[np.resize(np.arange(len(parts)), SIZE)]


def names_of(source, sample):
    """Return the class names along the first row of a sample's labels, None for what does not count."""
    row = sample.labels[0].tolist()
    return [source.classes.names[label] if label < len(source.classes) else None for label in row]


# some of CamVid's colours with the class that the usual table of 11 gives them, written down by hand
CAMVID = [
    ((0, 128, 64), "Building"), ((0, 0, 64), "Pole"), ((192, 0, 64), "Road"), ((128, 128, 192), "Pavement"),
    ((192, 192, 0), "Tree"), ((0, 64, 64), "SignSymbol"), ((128, 64, 64), "Car"), ((64, 128, 64), "Pedestrian"),
    ((192, 0, 192), "Bicyclist"), ((0, 0, 0), None), ((64, 64, 128), "Fence"), ((128, 128, 128), "Sky"),
]  # fmt: skip


def camvid_stills(root):
    for name in ("0001TP_006690", "0001TP_006720", "Seq05VD_f00000"):
        save(root / f"701_StillsRaw_full/{name}.png", frame())
        save(root / f"LabeledApproved_full/{name}_L.png", colours(*(colour for colour, _ in CAMVID)))
    (root / "label_colors.txt").write_text("64 128 64\tAnimal\n192 0 128\t\tArchway\n")
    return root


def test_camvid_s_stills_have_the_usual_11_classes_or_all_32(tmp_path):
    name, source = recognise(camvid_stills(tmp_path))
    assert name == "camvid"
    assert source.size == (720, 960)
    assert names_of(source, source.open("all")[0])[:12] == [word for _, word in CAMVID]
    every = open_source("camvid:classes=32", tmp_path)
    assert len(every.classes) == 31
    assert names_of(every, every.open("all")[0])[:4] == ["Bridge", "TrafficCone", "LaneMkgsNonDriv", "RoadShoulder"]
    assert every.open("all")[0].labels[0, 9] == 255
    with pytest.raises(DataError, match="allowed are 11 and 32"):
        open_source("camvid:classes=12", tmp_path)


def test_camvid_s_drives_can_be_kept_together(tmp_path):
    source = open_source("camvid:group=^[^_]+", camvid_stills(tmp_path))
    assert [pair.name for pair in source.listing("val").pairs] == ["Seq05VD_f00000"]


def test_camvid_as_kaggle_has_it(tmp_path):
    for split in ("train", "val", "test"):
        save(tmp_path / split / f"{split}_1.png", frame())
        save(tmp_path / f"{split}_labels" / f"{split}_1_L.png", colours(*(colour for colour, _ in CAMVID)))
    (tmp_path / "class_dict.csv").write_text("name,r,g,b\nAnimal,64,128,64\nSky,128,128,128\n")
    name, source = recognise(tmp_path)
    assert name == "camvid"
    assert source.splits == ("train", "val", "test")
    assert names_of(source, source.open("test")[0])[:12] == [word for _, word in CAMVID]
    (tmp_path / "class_dict.csv").write_text("name,r,g,b\nurban_land,0,255,255\n")
    with pytest.raises(DataError, match="'urban_land' the colour"):
        open_source("camvid", tmp_path)


def test_a_colour_that_camvid_lacks_is_named(tmp_path):
    camvid_stills(tmp_path)
    save(tmp_path / "LabeledApproved_full/0001TP_006690_L.png", colours((1, 2, 3)))
    with pytest.raises(DataError, match=r"0001TP_006690_L\.png has colour \(1, 2, 3\)"):
        open_source("camvid", tmp_path).open("all")[0]


def cityscapes(root, end, label):
    for split in ("train", "val"):
        name = f"ulm_{split}_000019"
        save(root / f"leftImg8bit/{split}/ulm/{name}_leftImg8bit.png", frame())
        label(root / f"gtFine/{split}/ulm/{name}_gtFine_{end}")
    return root


def test_cityscapes_train_ids_are_read_as_they_are(tmp_path):
    cityscapes(tmp_path, "labelTrainIds.png", lambda path: save(path, values(0, 10, 18, 255)))
    name, source = recognise(tmp_path)
    assert name == "cityscapes"
    assert np.unique(source.open("val")[0].labels).tolist() == [0, 10, 18, 255]


def polygons(path):
    """Write an annotation: sky, a car over it, a group of persons, a plate and something deleted on top."""
    path.parent.mkdir(parents=True, exist_ok=True)
    box = [[0, 0], [29, 0], [29, 9], [0, 9]]
    objects = [
        {"label": "sky", "polygon": box},
        {"label": "car", "polygon": [[2, 2], [8, 2], [8, 6], [2, 6]]},
        {"label": "license plate", "polygon": [[3, 3], [4, 3], [4, 4], [3, 4]]},
        {"label": "persongroup", "polygon": [[10, 2], [12, 2], [12, 6], [10, 6]]},
        {"label": "dynamic", "polygon": [[20, 2], [22, 2], [22, 6], [20, 6]]},
        {"label": "road", "polygon": box, "deleted": 1},
    ]
    path.write_text(json.dumps({"imgHeight": SIZE[0], "imgWidth": SIZE[1], "objects": objects}))


def test_cityscapes_polygons_are_drawn_over_each_other(tmp_path):
    cityscapes(tmp_path, "polygons.json", polygons)
    source = recognise(tmp_path)[1]
    labels = source.open("train")[0].labels
    assert labels.shape == SIZE
    at = {name: labels[y, x] for name, y, x in
          (("sky", 1, 1), ("car", 3, 3), ("person", 4, 11), ("dynamic", 4, 21), ("below", 15, 5))}  # fmt: skip
    assert [NINETEEN.names[at[name]] for name in ("sky", "car", "person")] == ["sky", "car", "person"]
    assert (at["dynamic"], at["below"]) == (255, 255)
    path = tmp_path / "gtFine/train/ulm/ulm_train_000019_gtFine_polygons.json"
    path.write_text(path.read_text().replace('"sky"', '"skye"'))
    with pytest.raises(DataError, match=r"polygons\.json is not an annotation of Cityscapes: label 'skye'"):
        recognise(tmp_path)[1].open("train")[0]


def test_cityscapes_kinds_of_labels_can_be_chosen(tmp_path):
    cityscapes(tmp_path, "labelIds.png", lambda path: save(path, values(7)))
    cityscapes(tmp_path, "labelTrainIds.png", lambda path: save(path, values(1)))
    assert open_source("cityscapes", tmp_path).open("val")[0].labels[0, 0] == 0
    assert open_source("cityscapes:labels=labelTrainIds", tmp_path).open("val")[0].labels[0, 0] == 1
    with pytest.raises(DataError, match="unknown kind of Cityscapes labels 'ids'"):
        open_source("cityscapes:labels=ids", tmp_path)


@pytest.mark.parametrize("place", ["", "seg/"])
def test_bdd100k_under_its_earlier_names(tmp_path, place):
    for split in ("train", "val"):
        save(tmp_path / f"{place}images/{split}/0a0a0b1a-7c39d841.jpg", frame())
        save(tmp_path / f"{place}labels/{split}/0a0a0b1a-7c39d841_train_id.png", values(0, 18, 255))
    name, source = recognise(tmp_path)
    assert name == "bdd100k"
    assert np.unique(source.open("val")[0].labels).tolist() == [0, 18, 255]
    (tmp_path / f"{place}labels/val/0a0a0b1a-7c39d841_train_id.png").unlink()
    with pytest.raises(DataError, match="no label for"):
        recognise(tmp_path)[1].open("val")


def test_synthia_rand_cvpr16_from_colours_and_from_numbers(tmp_path):
    table = [(0, 0, 0), (128, 128, 128), (128, 0, 0), (128, 64, 128), (0, 0, 192), (64, 64, 128), (128, 128, 0),
             (192, 192, 128), (64, 0, 128), (192, 128, 128), (64, 64, 0), (0, 128, 192)]  # fmt: skip
    for number in range(3):
        save(tmp_path / f"RGB/ap_{number}.png", frame(number))
        save(tmp_path / f"GT/ap_{number}.png", colours(*table))
        (tmp_path / "GTTXT").mkdir(exist_ok=True)
        np.savetxt(tmp_path / f"GTTXT/ap_{number}.txt", np.resize(np.arange(12), SIZE), "%d")
    name, source = recognise(tmp_path)
    assert name == "synthia"
    words = [None, "Sky", "Building", "Road", "Sidewalk", "Fence", "Vegetation", "Pole", "Car", "Traffic sign",
             "Pedestrian", "Bicycle"]  # fmt: skip
    assert names_of(source, source.open("all")[0])[:12] == words
    assert len(open_dataset("synthia", tmp_path, "all", Protocol.named("paper", SIZE)).classes) == 13
    numbers = open_source("synthia:labels=txt", tmp_path)
    assert names_of(numbers, numbers.open("all")[0])[:12] == words
    (tmp_path / "GTTXT/ap_0.txt").write_text("1 2\n3 x\n")
    with pytest.raises(DataError, match=r"ap_0\.txt is not rows of numbers"):
        numbers.open("all")[0]


def test_synthia_s_sequences_are_never_cut_apart(tmp_path):
    from test_data_published import png16

    ids = np.dstack([np.resize([0, 1, 12, 13, 15], SIZE), np.full(SIZE, 900)]).astype(np.uint16)
    for season in ("SPRING", "DAWN", "FOG"):
        for number in range(2):
            view = f"Stereo_Left/Omni_F/{number:06}.png"
            save(tmp_path / f"SYNTHIA-SEQS-01-{season}/RGB/{view}", frame(number))
            path = tmp_path / f"SYNTHIA-SEQS-01-{season}/GT/LABELS/{view}"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(png16(ids, 0, 4))
    name, source = recognise(tmp_path)
    assert name == "synthia"
    assert names_of(source, source.open("all")[0])[:5] == [None, "Sky", "Lanemarking", None, "Traffic light"]
    sides = {s: {p.name.partition("/")[0] for p in source.listing(s).pairs} for s in ("train", "val")}
    assert len(sides["val"]) == 1
    assert not sides["train"] & sides["val"]
    one = recognise(tmp_path / "SYNTHIA-SEQS-01-FOG")[1]
    assert len(one.open("all")) == 2


def voc(root, palette=None):
    """Write two pictures that are listed with labels and one without."""
    for name in ("2007_000032", "2007_000039", "2007_000063"):
        save(root / f"JPEGImages/{name}.jpg", frame())
    for split, name in (("train", "2007_000032"), ("val", "2007_000039")):
        label = Image.fromarray(values(0, 1, 20, 255)).convert("P")
        label.putdata(values(0, 1, 20, 255).ravel().tolist())
        known = {1: (128, 0, 0), 20: (0, 64, 128), 255: (224, 224, 192)} if palette is None else palette
        label.putpalette([part for index in range(256) for part in known.get(index, (0, 0, 0))])
        path = root / f"SegmentationClass/{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        label.save(path)
        (root / "ImageSets/Segmentation").mkdir(parents=True, exist_ok=True)
        (root / f"ImageSets/Segmentation/{split}.txt").write_text(f"{name}\n")
    (root / "ImageSets/Segmentation/trainval.txt").write_text("2007_000032\n2007_000039\n")


def test_pascal_voc_reads_its_lists_and_its_palette(tmp_path):
    voc(tmp_path / "VOCdevkit/VOC2012")
    name, source = recognise(tmp_path)
    assert name == "voc"
    assert source.splits == ("train", "val")
    assert names_of(source, source.open("train")[0])[:4] == ["background", "aeroplane", "tvmonitor", None]
    assert [pair.name for pair in source.listing("trainval").pairs] == ["2007_000032", "2007_000039"]
    (tmp_path / "VOCdevkit/VOC2012/ImageSets/Segmentation/val.txt").write_text("2007_000063\n")
    with pytest.raises(DataError, match="no label for"):
        recognise(tmp_path)[1].open("val")
    voc(tmp_path / "VOCdevkit/VOC2007")
    with pytest.raises(DataError, match="has VOC2007, VOC2012; name one"):
        recognise(tmp_path)


def test_a_voc_palette_that_contradicts_voc_is_refused(tmp_path):
    voc(tmp_path, {1: (9, 9, 9)})
    with pytest.raises(DataError, match=r"2007_000032\.png contradicts Pascal VOC's palette: entry 1"):
        recognise(tmp_path)[1].open("train")[0]


def test_cvat_s_mask_export_has_its_own_classes(tmp_path):
    (tmp_path / "ImageSets/Segmentation").mkdir(parents=True)
    (tmp_path / "ImageSets/Segmentation/default.txt").write_text("a\nb\n")
    (tmp_path / "labelmap.txt").write_text(
        "# label:color_rgb:parts:actions\nbackground:0,0,0::\nroad:128,64,128::\nsky:70,130,180::\n"
    )
    for name in ("a", "b"):
        save(tmp_path / f"JPEGImages/{name}.png", frame())
        save(tmp_path / f"SegmentationClass/{name}.png", colours((0, 0, 0), (70, 130, 180), (128, 64, 128)))
    name, source = recognise(tmp_path)
    assert (name, source.splits) == ("voc", ("all", "train", "val"))
    assert names_of(source, source.open("all")[0])[:3] == ["background", "sky", "road"]


def test_ade20k_s_zero_does_not_count_unless_asked(tmp_path):
    for folder in ("training", "validation"):
        save(tmp_path / f"images/{folder}/ADE_x_00000001.jpg", frame())
        save(tmp_path / f"annotations/{folder}/ADE_x_00000001.png", values(0, 1, 4, 150))
    name, source = recognise(tmp_path)
    assert name == "ade20k"
    assert source.splits == ("train", "val")
    assert names_of(source, source.open("val")[0])[:4] == [None, "wall", "floor", "flag"]
    whole = open_source("ade20k:reduce-zero-label=no", tmp_path)
    assert len(whole.classes) == 151
    assert names_of(whole, whole.open("val")[0])[:4] == ["other", "wall", "floor", "flag"]
    assert whole.classes.ignored is None


@pytest.mark.parametrize(
    ("images", "labels"),
    [
        ("images/{}", "labels/{}"),
        ("img_dir/{}", "ann_dir/{}"),
        ("{}/images", "{}/masks"),
        ("images/{}", "annotations/{}"),
    ],
)
@pytest.mark.parametrize("train", ["train", "training"])
def test_a_folder_under_other_tools_names(tmp_path, images, labels, train):
    for split in (train, "valid"):
        save(tmp_path / images.format(split) / "x.jpg", frame())
        save(tmp_path / labels.format(split) / "x.png", values(0, 1, 2))
    name, source = recognise(tmp_path)
    assert (name, source.splits) == ("folder", ("train", "val"))
    assert len(source.open("val")) == 1


def test_names_that_end_differently_are_paired_by_their_ends(tmp_path):
    for split in ("train", "val"):
        save(tmp_path / f"pictures/{split}/ulm/1_leftImg8bit.png", frame())
        save(tmp_path / f"truth/{split}/ulm/1_gtFine_labelTrainIds.png", values(0, 1))
        save(tmp_path / f"truth/{split}/ulm/1_gtFine_color.png", frame())
    options = ["--images", "pictures", "--labels", "truth"]
    words = ["data", "check", str(tmp_path), "--dataset", "folder", *options]
    assert main([*words, "--image-suffix", "_leftImg8bit.png", "--label-suffix", "_gtFine_labelTrainIds.png"]) == 0
    assert main(words) == 2


@pytest.mark.parametrize("table", ["label_colors.txt", "class_dict.csv"])
def test_a_folder_s_colour_table_names_its_classes(tmp_path, table):
    text = {
        "label_colors.txt": "10 20 30\tfree space\n0 0 0 Void\n40 50 60   car\n",
        "class_dict.csv": "name, r, g, b\nfree space,10,20,30\nVoid,0,0,0\ncar,40,50,60\n",
    }
    (tmp_path / table).write_text(text[table])
    save(tmp_path / "images/a.png", frame())
    save(tmp_path / "labels/a.png", colours((40, 50, 60), (0, 0, 0), (10, 20, 30)))
    source = recognise(tmp_path)[1]
    assert source.classes.names == ("free space", "car")
    assert names_of(source, source.open("all")[0])[:3] == ["car", None, "free space"]
    save(tmp_path / "labels/a.png", values(0, 1, 2))  # rows of the table
    assert names_of(source, source.open("all")[0])[:3] == ["free space", None, "car"]
    (tmp_path / table).write_text(text[table].replace("40", "400"))
    with pytest.raises(DataError, match="row 3 is not a class name and a colour"):
        open_source("folder", tmp_path)


def test_a_table_gives_the_classes_of_classes_json_their_colours(tmp_path):
    (tmp_path / "label_colors.txt").write_text("1 2 3 Car\n4 5 6 Road\n0 0 0 Void\n")
    (tmp_path / "classes.json").write_text('{"names": ["road", "car"]}')
    save(tmp_path / "images/a.png", frame())
    save(tmp_path / "labels/a.png", colours((1, 2, 3), (4, 5, 6), (0, 0, 0)))
    assert recognise(tmp_path)[1].open("all")[0].labels[0, :3].tolist() == [1, 0, 255]
    (tmp_path / "classes.json").write_text('{"names": ["road", "bus"]}')
    with pytest.raises(DataError, match="has no colour for bus"):
        open_source("folder", tmp_path)


def test_convert_writes_what_folder_reads_and_copies_pictures_as_they_are(tmp_path, capsys):
    cityscapes(tmp_path / "in", "polygons.json", polygons)
    out = tmp_path / "out"
    assert main(["data", "convert", str(tmp_path / "in"), "-o", str(out)]) == 0
    assert "cityscapes: 2 samples of train, val" in capsys.readouterr().out
    before, after = open_source("cityscapes", tmp_path / "in"), open_source("folder", out)
    assert after.classes == before.classes
    assert np.array_equal(before.open("val")[0].labels, after.open("val")[0].labels)
    original = tmp_path / "in/leftImg8bit/val/ulm/ulm_val_000019_leftImg8bit.png"
    assert (out / "images/val/ulm_val_000019.png").read_bytes() == original.read_bytes()
    assert json.loads((out / "converted.json").read_text()) == {
        "dataset": "cityscapes",
        "samples": {"train": 1, "val": 1},
    }
    assert main(["data", "convert", str(tmp_path / "in"), "-o", str(out)]) == 2


def test_convert_takes_a_mapping_and_a_layout_and_leaves_a_dataset_without_splits_whole(tmp_path):
    camvid_stills(tmp_path / "in")
    (tmp_path / "map.toml").write_text('others = "ignore"\n[classes]\nroad = "road"\ncar = "car"\n')
    out = tmp_path / "out"
    words = ["data", "convert", str(tmp_path / "in"), "-o", str(out), "--from", "camvid:classes=11"]
    assert main([*words, "--map", str(tmp_path / "map.toml")]) == 0
    source = open_source("folder", out)
    assert (source.splits, source.classes.names) == (("all", "train", "val"), ("road", "car"))
    assert np.unique(source.open("all")[0].labels).tolist() == [0, 1, 255]
    assert json.loads((out / "converted.json").read_text())["map"]["others"] == "ignore"


def test_convert_turns_pictures_that_lie_on_their_side_and_divides_by_group(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    for name in ("a_1", "b_1"):
        save(tmp_path / f"in/labels/{name}.png", values(0, 1))
        (tmp_path / "in/images").mkdir(exist_ok=True)
        Image.fromarray(np.rot90(frame()).copy()).save(tmp_path / f"in/images/{name}.png", exif=exif)
    words = ["data", "convert", str(tmp_path / "in"), "-o", str(tmp_path / "out"), "--group", "^.", "--val-group", "a"]
    assert main(words) == 0
    with Image.open(tmp_path / "out/images/val/a_1.png") as picture:
        assert picture.size == (30, 20)
        assert np.array_equal(np.asarray(picture), frame())


def test_split_writes_lists_that_a_training_reads(tmp_path, capsys):
    for drive in ("x", "y", "z"):
        for number in range(2):
            save(tmp_path / f"data/images/{drive}_{number}.png", frame(number))
            save(tmp_path / f"data/labels/{drive}_{number}.png", values(0, 1))
    words = ["data", "split", str(tmp_path / "data"), "-o", str(tmp_path / "lists"), "--group", "^[a-z]"]
    assert main([*words, "--each-group", "--json"]) == 0
    written = json.loads(capsys.readouterr().out)
    assert written[str(tmp_path / "lists/y.val.txt")] == 2
    assert len(written) == 6
    assert (tmp_path / "lists/y.val.txt").read_text() == "images/y_0.png\nimages/y_1.png\n"
    name = f"folder:train={tmp_path / 'lists/y.train.txt'},val={tmp_path / 'lists/y.val.txt'}"
    source = open_source(name, tmp_path / "data")
    assert [pair.name for pair in source.listing("train").pairs] == ["x_0", "x_1", "z_0", "z_1"]
    assert main([*words, "--each-group"]) == 2
    assert "exists already" in capsys.readouterr().err
    assert main(["data", "split", str(tmp_path / "data"), "-o", str(tmp_path / "other"), "--each-group"]) == 2
    assert "--each-group needs --group" in capsys.readouterr().err


def test_polygons_are_drawn_as_pillow_draws_them():
    from segfast_edge.data.polygons import Area, drawn

    points = [(1.0, 1.0), (25.5, 3.0), (12.0, 17.0)]
    page = Image.new("L", (30, 20), 255)
    ImageDraw.Draw(page).polygon(points, fill=7)
    assert np.array_equal(drawn((20, 30), [Area(3, [(0, 0), (29, 0)]), Area(7, points)], 255), np.asarray(page))
    with pytest.raises(DataError, match="cannot be drawn"):
        drawn((10**6, 10**6), [], 0)


def test_the_end_of_label_names_is_found_if_all_have_the_same(tmp_path, caplog):
    for name in ("a", "b"):
        save(tmp_path / f"images/{name}.png", frame())
        save(tmp_path / f"labels/{name}_mask.png", values(0, 1))
    assert [pair.name for pair in recognise(tmp_path)[1].listing("all").pairs] == ["a", "b"]
    assert "have '_mask' behind their picture's name" in caplog.text
    for name in ("a", "b"):
        save(tmp_path / f"labels/{name}_colour.png", values(0, 1))
    with pytest.raises(DataError, match="end in _colour, _mask; choose one with --label-suffix"):
        recognise(tmp_path)
    assert len(open_source("folder:label-suffix=_mask.png", tmp_path).open("all")) == 2


def test_labels_as_jpeg_are_refused_by_name(tmp_path):
    save(tmp_path / "images/a.png", frame())
    save(tmp_path / "labels/a.jpg", values(0, 1))
    with pytest.raises(DataError, match=r"label .*a\.jpg is a JPEG"):
        recognise(tmp_path)


@pytest.mark.parametrize("name", ["classes.txt", "codes.txt"])
def test_a_list_of_names_names_the_classes_in_the_order_of_their_ids(tmp_path, name):
    (tmp_path / name).write_text("road\nVoid\nsky\n")
    save(tmp_path / "images/a.png", frame())
    save(tmp_path / "labels/a.png", values(0, 1, 2))
    source = recognise(tmp_path)[1]
    assert names_of(source, source.open("all")[0])[:3] == ["road", None, "sky"]
