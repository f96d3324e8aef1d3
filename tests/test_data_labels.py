"""Labels mean what their file says, or are refused by name."""

import json
import logging
import struct
import zlib

import numpy as np
import pytest
from PIL import Image
from tiny_training import CPU, PAPER, run

from segfast_edge.cli import main
from segfast_edge.data import open_source
from segfast_edge.errors import DataError
from segfast_edge.training.settings import TrainingSettings

ROAD, SKY, CAR = (128, 64, 128), (70, 130, 180), (0, 0, 142)
IDS = np.resize(np.repeat([0, 1, 2, 1], 5), (16, 24)).astype(np.uint8)


def classes(root, **content):
    content = {"names": ["road", "sky", "car"]} | content
    (root / "classes.json").write_text(json.dumps(content))


def picture(root, name, split="train"):
    path = root / "images" / split / f"{name}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(len(name)).integers(0, 256, (*IDS.shape, 3), np.uint8)
    Image.fromarray(noise).save(path)
    label = root / "labels" / split / f"{name}.png"
    label.parent.mkdir(parents=True, exist_ok=True)
    return label


def grey(root, name, ids, split="train"):
    Image.fromarray(np.asarray(ids, np.uint8)).save(picture(root, name, split))


def palette(root, name, entries, colours, split="train"):
    """Write palette indices with the colours that they have in this file."""
    label = Image.fromarray(np.asarray(entries, np.uint8)).convert("P")
    label.putdata(np.asarray(entries, np.uint8).ravel().tolist())
    label.putpalette([part for colour in colours for part in colour])
    label.save(picture(root, name, split))
    with Image.open(picture(root, name, split)) as written:
        assert written.mode == "P"


def read(root, index=0, options=""):
    return open_source(f"folder{options}", root).open("train")[index].labels


def test_a_palette_that_agrees_with_the_class_list_is_taken_by_index(tmp_path, caplog):
    classes(tmp_path, palette=[ROAD, SKY, CAR])
    palette(tmp_path, "a", IDS, [ROAD, SKY, CAR])
    assert np.array_equal(read(tmp_path), IDS)
    assert caplog.text == ""


def test_palettes_in_another_order_are_read_by_colour_and_it_is_said_once(tmp_path, caplog):
    classes(tmp_path, palette=[ROAD, SKY, CAR])
    palette(tmp_path, "a", np.array([1, 0, 2])[IDS], [SKY, ROAD, CAR])
    palette(tmp_path, "b", (IDS + 1) % 3, [CAR, ROAD, SKY])
    palette(tmp_path, "c", IDS, [ROAD, SKY, CAR])
    dataset = open_source("folder", tmp_path).open("train")
    with caplog.at_level(logging.WARNING):
        assert all(np.array_equal(sample.labels, IDS) for sample in dataset)
    assert len(caplog.records) == 1
    assert "labels are read by colour" in caplog.text
    assert "a.png entry 0 has the colour of 'sky'" in caplog.text


def test_a_palette_colour_that_no_class_has_is_refused_with_file_and_entry(tmp_path):
    classes(tmp_path, palette=[ROAD, SKY, CAR])
    palette(tmp_path, "odd", IDS, [ROAD, (1, 2, 3), CAR])
    with pytest.raises(DataError, match=r"odd\.png contradicts .*classes\.json: entry 1, \(1, 2, 3\) in its palette"):
        read(tmp_path)
    assert np.array_equal(read(tmp_path, options=":palette=no"), IDS)


def test_two_classes_of_one_colour_are_told_apart_by_index_only(tmp_path):
    classes(tmp_path, palette=[ROAD, SKY, SKY])
    palette(tmp_path, "a", IDS, [ROAD, SKY, SKY])
    assert np.array_equal(read(tmp_path), IDS)
    palette(tmp_path, "a", IDS, [SKY, ROAD, SKY])
    with pytest.raises(
        DataError, match=r"entry 0, \(70, 130, 180\) in its palette, is 'road' by its index and 'sky' and"
    ):
        read(tmp_path)


def test_the_ignored_index_stays_ignored_although_padding_gave_it_a_class_colour(tmp_path):
    black = (0, 0, 0)
    classes(tmp_path, palette=[black, SKY, CAR])
    ids = np.where(IDS == 2, 255, IDS)
    palette(tmp_path, "a", ids, [black, SKY, CAR, *[black] * 253])
    assert np.array_equal(read(tmp_path), ids)


def test_a_colour_of_what_does_not_count_is_ignored_wherever_it_stands(tmp_path):
    white = (224, 224, 192)
    classes(tmp_path, palette=[ROAD, SKY, CAR], ignored_palette=[white])
    palette(tmp_path, "a", IDS, [white, ROAD, SKY])
    assert np.array_equal(read(tmp_path), np.array([255, 0, 1])[IDS])


def test_palettes_that_contradict_each_other_are_refused_if_the_classes_have_no_colours(tmp_path):
    classes(tmp_path)
    palette(tmp_path, "a", IDS, [ROAD, SKY, CAR, (9, 9, 9)])
    palette(tmp_path, "b", IDS, [ROAD, SKY, CAR])  # differs in an entry that no pixel has
    assert np.array_equal(read(tmp_path, 1), IDS)
    palette(tmp_path, "c", IDS, [ROAD, CAR, SKY], split="val")
    with pytest.raises(DataError, match=r"c\.png contradicts .*a\.png: entry 1 of its palette is \(0, 0, 142\)"):
        open_source("folder", tmp_path)
    assert np.array_equal(read(tmp_path, options=":palette=no"), IDS)


def test_a_grey_ramp_is_no_palette(tmp_path):
    classes(tmp_path, palette=[(2, 2, 2), SKY, CAR])
    palette(tmp_path, "a", IDS, [(value, value, value) for value in range(256)])
    assert np.array_equal(read(tmp_path), IDS)


def test_colour_labels_are_read_by_the_palette_of_the_class_list(tmp_path):
    classes(tmp_path, palette=[ROAD, SKY, CAR], ignored_palette=[(0, 0, 0)])
    colours = np.array([ROAD, SKY, CAR, (0, 0, 0)], np.uint8)
    wanted = IDS.copy()
    wanted[:3] = 3
    Image.fromarray(colours[wanted]).save(picture(tmp_path, "a"))
    assert np.array_equal(read(tmp_path), np.where(wanted == 3, 255, wanted))
    opaque = np.dstack([colours[wanted], np.full(IDS.shape, 255, np.uint8)])
    Image.fromarray(opaque).save(picture(tmp_path, "a"))
    assert np.array_equal(read(tmp_path), np.where(wanted == 3, 255, wanted))
    opaque[..., 3][4, 4] = 9
    Image.fromarray(opaque).save(picture(tmp_path, "a"))
    with pytest.raises(DataError, match="alpha channel that is not opaque"):
        read(tmp_path)


def test_a_colour_that_no_class_has_is_refused_with_its_place(tmp_path):
    classes(tmp_path, palette=[ROAD, SKY, CAR])
    pixels = np.array([ROAD, SKY, CAR], np.uint8)[IDS]
    pixels[7, 9] = (70, 130, 181)
    Image.fromarray(pixels).save(picture(tmp_path, "a"))
    with pytest.raises(DataError, match=r"a\.png has colour \(70, 130, 181\) at row 7, column 9, which stands for no"):
        read(tmp_path)


def test_ids_saved_as_three_equal_channels_are_ids(tmp_path):
    classes(tmp_path)
    Image.fromarray(np.dstack([IDS] * 3)).save(picture(tmp_path, "a"))
    assert np.array_equal(read(tmp_path), IDS)


def png(ids, bits, colour=0):
    """Encode a one-channel PNG of any depth by hand, as the specification says, without filters."""
    rows = b""
    for row in ids.tolist():
        text = "".join(format(value, f"0{bits}b") for value in row)
        text += "0" * (-len(text) % 8)
        rows += b"\0" + bytes(int(text[at : at + 8], 2) for at in range(0, len(text), 8))

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", ids.shape[1], ids.shape[0], bits, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
def test_ids_of_every_depth_keep_their_value(tmp_path, bits):
    ids = IDS % 2 if bits == 1 else IDS
    classes(tmp_path)
    picture(tmp_path, "a").write_bytes(png(ids, bits))
    assert np.array_equal(read(tmp_path), ids)


def test_a_16_bit_value_that_stands_for_no_class_is_named_whole(tmp_path):
    classes(tmp_path)
    picture(tmp_path, "a").write_bytes(png(IDS.astype(int) + 256, 16))
    with pytest.raises(DataError, match="has value 256 at row 0, column 0; allowed: 0-2, 255"):
        read(tmp_path)


def test_masks_of_0_and_255_with_two_classes_are_refused_until_it_is_said_what_255_is(tmp_path):
    for split in ("train", "val"):
        grey(tmp_path, "a", IDS.clip(0, 1) * 255, split)
    classes(tmp_path, names=["background", "road"], ignored=255)
    with pytest.raises(DataError, match=r"hold only 0 and 255.*'road' would have no pixel.*folder:values=0/255"):
        open_source("folder", tmp_path)
    assert np.array_equal(read(tmp_path, options=":values=0/255"), IDS.clip(0, 1))
    assert np.array_equal(read(tmp_path, options=":values=0/1"), IDS.clip(0, 1) * 255)
    classes(tmp_path, names=["background", "road"], ignored=None)
    with pytest.raises(DataError, match="255 stands for no class, so 'road' would have no pixel"):
        open_source("folder", tmp_path)
    classes(tmp_path, names=["background", "road"], values=[0, 255])
    assert np.array_equal(read(tmp_path), IDS.clip(0, 1))
    grey(tmp_path, "b", np.where(IDS == 2, 255, IDS), "val")
    classes(tmp_path, names=["background", "road"])
    assert read(tmp_path).max() == 255  # another file shows that 1 is the road, and 255 void


def test_masks_of_0_and_255_without_a_class_list_name_the_way(tmp_path):
    grey(tmp_path, "a", IDS.clip(0, 1) * 255)
    with pytest.raises(DataError, match=r"hold 1 class\(es\).*pass --data folder:values=0/255"):
        open_source("folder", tmp_path)
    source = open_source("folder:values=0/255", tmp_path)
    assert source.classes.names == ("class 0", "class 255")


def test_ids_from_1_are_warned_of_and_can_be_named(tmp_path, caplog):
    grey(tmp_path, "a", IDS + 1)
    with caplog.at_level(logging.WARNING):
        assert len(open_source("folder", tmp_path).classes) == 4
    assert "no label has id 0" in caplog.text
    assert "folder:values=1/2/3" in caplog.text
    assert np.array_equal(read(tmp_path, options=":values=1/2/3"), IDS)
    classes(tmp_path, values=[2, 1, 3], ignored=0)
    grey(tmp_path, "a", np.where(IDS == 2, 0, IDS + 1))
    assert np.array_equal(read(tmp_path), np.array([1, 0, 255])[IDS])


def test_ids_from_1_of_named_classes_are_refused_with_the_way_on(tmp_path):
    classes(tmp_path)
    grey(tmp_path, "a", IDS + 1)
    with pytest.raises(DataError, match=r"has value 3 .*allowed: 0-2, 255.*--data folder:values=1/2/3"):
        read(tmp_path)
    assert np.array_equal(read(tmp_path, options=":values=1/2/3"), IDS)


def test_one_stray_id_does_not_make_hundreds_of_classes(tmp_path):
    grey(tmp_path, "a", np.where(IDS == 2, 200, IDS))
    with pytest.raises(DataError, match=r"hold the ids 0-1, 200, so 198 of 201 classes .*folder:values=0/1/200"):
        open_source("folder", tmp_path)


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("values=0/x", "numbers with slashes"),
        ("values=0/0/1", "3 different numbers"),
        ("values=0/1", "3 different numbers"),
        ("palette=never", "allowed are yes and no"),
        ("colour=no", "unknown folder option 'colour'"),
    ],
)
def test_an_option_that_means_nothing_is_one_line(tmp_path, option, message):
    classes(tmp_path)
    grey(tmp_path, "a", IDS)
    with pytest.raises(DataError, match=message):
        open_source(f"folder:{option}", tmp_path)


@pytest.fixture
def void_val(tmp_path):
    """Two frames to train on, and a val split whose labels are all void."""
    classes(tmp_path)
    for name in ("a", "b"):
        grey(tmp_path, name, IDS)
        grey(tmp_path, name, np.full(IDS.shape, 255), "val")
    return tmp_path


@pytest.mark.parametrize("protocol", ["paper", "standard"])
@pytest.mark.parametrize("split", ["train", "val"])
def test_a_split_in_which_no_pixel_counts_is_refused_before_a_training_begins(void_val, tmp_path, protocol, split):
    if split == "train":
        for kind in ("images", "labels"):
            (void_val / kind / "train").rename(void_val / kind / "spare")
            (void_val / kind / "val").rename(void_val / kind / "train")
            (void_val / kind / "spare").rename(void_val / kind / "val")
    chosen = TrainingSettings(
        model="tiny_networks:plain", data="folder", data_root=void_val, protocol=protocol, size=(32, 48),
        recipe=PAPER, hardware=CPU,
    )  # fmt: skip
    with pytest.raises(DataError, match=rf"no pixel of folder {split} counts"):
        run(chosen, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_split_in_which_no_pixel_counts_is_named_by_check_and_refused_by_evaluate(void_val, tmp_path, capsys):
    assert main(["data", "check", str(void_val), "--json"]) == 2
    found = json.loads(capsys.readouterr().out)
    assert found["splits"]["val"]["problems"] == ["val: no pixel counts, all labels are void"]
    assert found["splits"]["train"]["problems"] == []
    words = ["--data", "folder", "--data-root", str(void_val), "--protocol", "standard", "--size", "32x48"]
    for kind in ("images", "labels"):
        (void_val / kind / "val").rename(void_val / kind / "test")
        (void_val / kind / "val").symlink_to(void_val / kind / "train")
    train = ["train", "--model", "tiny_networks:plain", "--epochs", "1", "--batch-size", "1", "--device", "cpu"]
    assert main([*train, *words, "--output-dir", str(tmp_path / "run")]) == 0
    capsys.readouterr()
    words = ["--data", "folder", "--data-root", str(void_val), "--split", "test", "--device", "cpu"]
    assert main(["evaluate", str(tmp_path / "run" / "best.pt"), *words]) == 2
    assert "no pixel of folder test counts" in capsys.readouterr().err
