import json
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from segfast_edge.data import Protocol, open_dataset, open_source
from segfast_edge.data.cityscapes_classes import NINETEEN
from segfast_edge.data.png16 import first_channel
from segfast_edge.data.recognise import recognise
from segfast_edge.errors import DataError

STANDARD = Protocol.named("standard", (20, 30))
PAPER = Protocol.named("paper", (20, 30))
SIZE = (20, 30)


def save(path, pixels, mode=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(pixels, np.uint8), mode).save(path)


def frame():
    return np.random.default_rng(0).integers(0, 256, (*SIZE, 3), np.uint8)


def values(*ids):
    """Labels of the test size that hold just these ids, column by column."""
    return np.resize(np.array(ids, np.uint8), SIZE)


def filtered(rows, kind, step):
    """Filter PNG rows of bytes as the specification says, all with the same filter type."""
    out, above = [], bytes(len(rows[0]))
    for row in rows:
        line = bytearray([kind])
        for i, byte in enumerate(row):
            left = row[i - step] if i >= step else 0
            corner = above[i - step] if i >= step else 0
            guess = left + above[i] - corner
            paeth = min((left, above[i], corner), key=lambda v: abs(guess - v))
            line.append((byte - (0, left, above[i], (left + above[i]) // 2, paeth)[kind]) % 256)
        out.append(bytes(line))
        above = row
    return b"".join(out)


def png16(channels, kind=0, colour=2, pieces=1):
    """Encode a PNG with 16 bits per channel, which Pillow cannot write; ``channels`` is height x width x count."""
    high, wide, count = channels.shape
    rows = [row.astype(">u2").tobytes() for row in channels]
    packed = zlib.compress(filtered(rows, kind, 2 * count))
    cut = [packed[i * len(packed) // pieces : (i + 1) * len(packed) // pieces] for i in range(pieces)]

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", wide, high, 16, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(chunk(b"IDAT", c) for c in cut) + chunk(b"IEND", b"")


COLOUR_TYPES = {1: 0, 2: 4, 3: 2, 4: 6}


@pytest.mark.parametrize("count", COLOUR_TYPES)
@pytest.mark.parametrize("kind", range(5), ids=["none", "sub", "up", "average", "paeth"])
def test_sixteen_bits_survive_every_filter_and_channel_count(tmp_path, count, kind):
    channels = np.random.default_rng(kind).integers(0, 65536, (9, 13, count), np.uint16)
    path = tmp_path / "a.png"
    path.write_bytes(png16(channels, kind, COLOUR_TYPES[count], pieces=3))
    assert np.array_equal(first_channel(path), channels[..., 0])


def test_pillow_reads_the_same_file_as_its_upper_bytes(tmp_path):
    """Holds our encoder, and so the test above, to a decoder that is not ours."""
    channels = np.random.default_rng(1).integers(0, 65536, (9, 13, 3), np.uint16)
    (tmp_path / "a.png").write_bytes(png16(channels, 4))
    with Image.open(tmp_path / "a.png") as picture:
        assert np.array_equal(np.asarray(picture.convert("RGB")), (channels >> 8).astype(np.uint8))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda raw: raw[:-30], "not a readable 16-bit PNG"),
        (lambda raw: raw[:60] + bytes([raw[60] ^ 1]) + raw[61:], "not a readable 16-bit PNG"),
        (lambda raw: b"GIF89a" + raw, "not a readable 16-bit PNG"),
        (lambda raw: raw[:0], "not a readable 16-bit PNG"),
    ],
)
def test_a_damaged_file_is_one_clear_line(tmp_path, damage, message, capfd):
    path = tmp_path / "a.png"
    path.write_bytes(damage(png16(np.random.default_rng(0).integers(0, 9, (20, 30, 3), np.uint16))))
    with pytest.raises(DataError, match=message):
        first_channel(path)
    assert capfd.readouterr().err == ""  # OpenCV's decoder writes there on its own


def test_a_short_picture_inside_intact_chunks_is_refused(tmp_path):
    whole = png16(np.zeros((20, 30, 3), np.uint16))
    short = png16(np.zeros((4, 30, 3), np.uint16))
    start, end = whole.index(b"IDAT") - 4, short.index(b"IDAT") - 4
    (tmp_path / "a.png").write_bytes(whole[:start] + short[end:])
    with pytest.raises(DataError, match="damaged or cut off"):
        first_channel(tmp_path / "a.png")


def test_an_8_bit_png_or_none_is_refused(tmp_path):
    save(tmp_path / "a.png", frame())
    with pytest.raises(DataError, match="has 8 bits"):
        first_channel(tmp_path / "a.png")
    with pytest.raises(DataError, match="no such label"):
        first_channel(tmp_path / "b.png")


@pytest.mark.parametrize("count", [2, 3])
def test_synthia_reads_classes_from_the_first_16_bit_channel(tmp_path, count):
    for name in ("0000000", "0000001", "0000002"):
        channels = np.zeros((*SIZE, count), np.uint16)
        channels[..., 0] = values(0, 1, 3, 22)
        channels[..., 1] = 4000  # instance ids
        save(tmp_path / "RGB" / f"{name}.png", frame())
        (tmp_path / "GT/LABELS").mkdir(parents=True, exist_ok=True)
        (tmp_path / "GT/LABELS" / f"{name}.png").write_bytes(png16(channels, 4, COLOUR_TYPES[count]))
    dataset = open_dataset("synthia", tmp_path, "all", STANDARD)
    assert len(dataset) == 3
    assert len(dataset.classes) == 22
    first = dataset[0].labels[0, :4].tolist()
    assert first == [255, 0, 2, 21]
    assert [dataset.classes.names[k] for k in first[1:]] == ["Sky", "Road", "Lanemarking"]
    assert open_source("synthia", tmp_path).splits == ("all", "train", "val")
    assert open_dataset("synthia", tmp_path, "val", PAPER)[0].labels[0, 0] == 22


def test_synthia_with_an_id_that_is_not_published(tmp_path):
    save(tmp_path / "RGB/1.png", frame())
    (tmp_path / "GT/LABELS").mkdir(parents=True)
    channels = np.full((*SIZE, 3), 300, np.uint16)
    (tmp_path / "GT/LABELS/1.png").write_bytes(png16(channels))
    with pytest.raises(DataError, match="value 300 at row 0, column 0; allowed: 0-22"):
        open_dataset("synthia", tmp_path, "all", STANDARD)[0]


def test_synthia_pictures_with_an_alpha_channel_are_read(tmp_path):
    save(tmp_path / "RGB/1.png", np.dstack([frame(), np.full(SIZE, 255, np.uint8)]))
    (tmp_path / "GT/LABELS").mkdir(parents=True)
    (tmp_path / "GT/LABELS/1.png").write_bytes(png16(np.ones((*SIZE, 3), np.uint16)))
    assert np.array_equal(open_dataset("synthia", tmp_path, "all", STANDARD)[0].frame, frame())


def test_bdd100k_in_its_published_layout(tmp_path):
    for split in ("train", "val"):
        save(tmp_path / f"images/10k/{split}/0004a4c0-d4dff0ad.jpg", frame())
        save(tmp_path / f"labels/sem_seg/masks/{split}/0004a4c0-d4dff0ad.png", values(0, 18, 255))
    save(tmp_path / "images/10k/test/abc.jpg", frame())
    source = open_source("bdd100k", tmp_path)
    assert source.splits == ("train", "val")
    assert source.size == (720, 1280)
    assert source.classes == NINETEEN
    sample = source.open("val")[0]
    assert np.unique(sample.labels).tolist() == [0, 18, 255]
    assert open_dataset("bdd100k", tmp_path, "val", PAPER)[0].labels.max() == 19


def test_cityscapes_label_ids_become_train_ids(tmp_path):
    name = "aachen_000000_000019"
    save(tmp_path / f"leftImg8bit/train/aachen/{name}_leftImg8bit.png", frame())
    save(tmp_path / f"gtFine/train/aachen/{name}_gtFine_labelIds.png", values(0, 7, 8, 11, 19, 23, 26, 33, 29, 6))
    save(tmp_path / f"gtFine/train/aachen/{name}_gtFine_color.png", frame())  # published beside, to be left alone
    (tmp_path / f"gtFine/train/aachen/{name}_gtFine_polygons.json").write_text("{}")
    dataset = open_dataset("cityscapes", tmp_path, "train", STANDARD)
    assert [pair.name for pair in dataset.pairs] == [name]
    labels = dataset[0].labels[0, :10].tolist()
    assert labels == [255, 0, 1, 2, 6, 10, 13, 18, 255, 255]
    words = [NINETEEN.names[k] for k in labels if k != 255]
    assert words == ["road", "sidewalk", "building", "traffic light", "sky", "car", "bicycle"]


def test_cityscapes_finds_every_city_and_names_what_is_missing(tmp_path):
    for city in ("aachen", "bochum"):
        save(tmp_path / f"leftImg8bit/val/{city}/{city}_0_leftImg8bit.png", frame())
    save(tmp_path / "gtFine/val/aachen/aachen_0_gtFine_labelIds.png", values(7))
    with pytest.raises(DataError, match=r"no label for .*bochum_0_leftImg8bit"):
        open_dataset("cityscapes", tmp_path, "val", STANDARD)


def vistas(root, count=66, config="config.json", labels="labels"):
    """Write Mapillary's layout with made-up class names and palette-mode label files."""
    colours = np.random.default_rng(0).integers(0, 256, (count, 3)).tolist()
    listed = [
        {"name": f"object--{k}", "readable": f"Object {k}", "color": colours[k], "evaluate": True, "instances": False}
        for k in range(count - 1)
    ]
    listed.append({"name": "void--unlabeled", "readable": "Unlabeled", "color": [0, 0, 0], "evaluate": False})
    (root / config).write_text(json.dumps({"labels": listed, "version": "1.1", "mapping": "public"}))
    for folder in ("training", "validation"):
        save(root / folder / "images/_0aBc.jpg", frame())
        picture = Image.fromarray(values(0, 64, 65))
        picture.putpalette([part for colour in colours for part in colour])
        path = root / folder / labels / "_0aBc.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        picture.save(path)
    return colours


def test_mapillary_takes_classes_from_its_config_and_indices_from_palette_files(tmp_path):
    colours = vistas(tmp_path)
    dataset = open_dataset("mapillary", tmp_path, "val", STANDARD)
    with Image.open(dataset.pairs[0].label) as picture:
        assert picture.mode == "P"
    assert len(dataset.classes) == 65
    assert dataset.classes.names[64] == "Object 64"
    assert dataset.classes.palette[3] == tuple(colours[3])
    assert dataset.classes.ignored == 65
    assert np.unique(dataset[0].labels).tolist() == [0, 64, 65]
    assert len(open_dataset("mapillary", tmp_path, "train", PAPER).classes) == 66


def both_versions(root):
    vistas(root, config="config_v1.2.json", labels="v1.2/labels")
    vistas(root, count=124, config="config_v2.0.json", labels="v2.0/labels")


def test_mapillary_version_2_is_taken_by_choice_only(tmp_path):
    vistas(tmp_path, count=124, config="config_v2.0.json", labels="v2.0/labels")
    for source in (lambda: open_source("mapillary", tmp_path), lambda: recognise(tmp_path)):
        with pytest.raises(DataError, match=r"labels of version 2\.0.*Choose with --data mapillary:version=2\.0"):
            source()
    both_versions(tmp_path)
    with pytest.raises(DataError, match=r"labels of version 1\.2 and 2\.0"):
        recognise(tmp_path)
    assert len(open_source("mapillary:version=2.0", tmp_path).classes) == 123
    assert len(open_source("mapillary:version=1.2", tmp_path).classes) == 65
    with pytest.raises(DataError, match="unknown version of Mapillary Vistas '3'"):
        open_source("mapillary:version=3", tmp_path)


def test_mapillary_version_1_2_inside_the_download_of_version_2(tmp_path):
    vistas(tmp_path, config="config_v1.2.json", labels="v1.2/labels")
    assert len(open_source("mapillary", tmp_path).open("train")) == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not Mapillary's class list"),
        ('{"labels": []}', "not Mapillary's class list"),
        ('{"labels": [{"name": "a", "readable": "A"}]}', "not Mapillary's class list"),
        ('{"labels": [{"name": "a", "readable": "A", "color": [1, 2, 3]}]}', "ends with class 'a'"),
    ],
)
def test_a_config_that_is_not_mapillarys_is_refused(tmp_path, text, message):
    vistas(tmp_path)
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(DataError, match=message):
        open_source("mapillary", tmp_path)


@pytest.mark.parametrize("name", ["ade20k", "bdd100k", "camvid", "cityscapes", "mapillary", "synthia", "voc"])
def test_a_folder_that_is_something_else_says_what_is_expected(tmp_path, name):
    with pytest.raises(DataError, match="expected"):
        open_source(name, tmp_path)
    with pytest.raises(DataError, match="needs its folder"):
        open_source(name, None)
    with pytest.raises(DataError, match=f"unknown {name} option 'seed'"):
        open_source(f"{name}:seed=1", tmp_path)


def test_labels_that_are_missing_as_a_whole_are_named(tmp_path):
    save(tmp_path / "images/10k/val/a.jpg", frame())
    with pytest.raises(DataError, match=r"no such folder: .*labels/sem_seg/masks/val"):
        open_dataset("bdd100k", tmp_path, "val", STANDARD)
