"""What can be asked of any dataset on disk: splits, groups, lists, mappings, and pictures of other kinds."""

import contextlib
import hashlib
import json
import logging

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_training import CPU, PAPER, run

from segfast_edge.cli import main
from segfast_edge.contract.preprocess import Preprocess
from segfast_edge.data import open_source, parse_name, with_options
from segfast_edge.data.calibration import Calibration, choose
from segfast_edge.data.leaks import shared_recordings, training_splits
from segfast_edge.errors import DataError
from segfast_edge.model.checkpoint import Checkpoint
from segfast_edge.training.settings import TrainingSettings

SIZE = (18, 24)


def save(path, pixels, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(pixels, np.uint8)).save(path, **options)


def frame(seed=0):
    return np.random.default_rng(seed).integers(0, 256, (*SIZE, 3), np.uint8)


def ids(*values):
    return np.resize(np.array(values, np.uint8), SIZE)


def folder(root, names, split="", values=(0, 1, 2), classes=("road", "sky", "car")):
    for number, name in enumerate(names):
        save(root / "images" / split / f"{name}.png", frame(len(str(root)) + number + len(split)))
        save(root / "labels" / split / f"{name}.png", ids(*values))
    (root / "classes.json").write_text(json.dumps({"names": list(classes)}))
    return root


def names(source, split):
    return [pair.name for pair in source.listing(split).pairs]


def test_options_behind_a_name_may_hold_commas():
    assert parse_name("folder:group=^(.{1,3})_,val=a.txt") == ("folder", {"group": "^(.{1,3})_", "val": "a.txt"})
    assert with_options("folder:val=x", {"map": None, "train": "y"}) == "folder:val=x,train=y"
    assert with_options("folder", {"map": None}) == "folder"


def drives(root):
    return folder(root, [f"{drive}_{n:03}" for drive in ("ab", "cd", "ef") for n in range(4)])


def test_a_group_is_never_in_two_splits(tmp_path):
    source = open_source("folder:group=^[a-z]+", drives(tmp_path))
    sides = {split: {name[:2] for name in names(source, split)} for split in ("train", "val")}
    assert sides["train"] | sides["val"] == {"ab", "cd", "ef"}
    assert not sides["train"] & sides["val"]
    assert len(names(source, "all")) == 12
    assert source.record["groups"] == {
        "pattern": "^[a-z]+", "val": sorted(sides["val"]), "train": sorted(sides["train"])
    }  # fmt: skip


def test_groups_that_become_val_can_be_named(tmp_path):
    source = open_source("folder:group=^([a-z]+)_,val-group=ab+ef", drives(tmp_path))
    assert {name[:2] for name in names(source, "train")} == {"cd"}


def test_groups_divide_published_splits_anew_and_leave_test_alone(tmp_path):
    folder(tmp_path, [f"ab_{n}" for n in range(3)], "train")
    folder(tmp_path, ["ab_8", "cd_1"], "val")
    folder(tmp_path, ["ab_9"], "test")
    source = open_source("folder:group=^[a-z]+", tmp_path)
    assert {name[:2] for name in names(source, "val")} == {"cd"}
    assert names(source, "train") == ["ab_0", "ab_1", "ab_2", "ab_8"]
    assert names(source, "test") == ["ab_9"]


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("group=^x", "finds nothing in the name 'ab_000'"),
        ("group=(", "not a regular expression"),
        ("group=_", "puts all 12 pictures into one group"),
        ("group=^[a-z]+,val-group=ax", "unknown group 'ax'. Did you mean 'ab'"),
        ("group=^[a-z]+,val-group=ab+cd+ef", "nothing is left for train"),
        ("val-group=ab", "need group=REGEX"),
        ("train=nowhere.txt", "'nowhere.txt' is not a list file, and unknown split"),
        ("map=nowhere.toml", "mapping .*nowhere.toml is not readable"),
        ("convert-rgb=1", "allowed are yes and no"),
    ],
)
def test_an_option_that_cannot_be_followed_is_one_line(tmp_path, option, message):
    with pytest.raises(DataError, match=message):
        open_source(f"folder:{option}", drives(tmp_path))


def test_folders_of_cities_without_train_are_kept_together(tmp_path):
    for city in ("aachen", "bochum", "bremen", "köln", "ulm"):
        folder(tmp_path, [f"{n}" for n in range(3)], city)
    source = open_source("folder", tmp_path)
    assert len(names(source, "ulm")) == 3
    images = {split: {p.image.parent.name for p in source.listing(split).pairs} for split in ("train", "val")}
    assert len(images["val"]) == 1
    assert not images["train"] & images["val"]
    assert len(source.listing("all").pairs) == 15


def test_a_list_file_makes_a_split_from_paths_of_every_usual_form(tmp_path):
    root = folder(tmp_path / "data", ["a 1", "b", "c", "d"], "train")
    listed = tmp_path / "mine.txt"
    listed.write_text(
        "# a comment\nimages/train/a 1.png\n\n/elsewhere/data/images/train/b.png /elsewhere/labels/b.png\nc\n"
        + str(root / "images/train/d.png")
    )
    source = open_source(f"folder:val={listed}", root)
    assert names(source, "val") == ["a 1", "b", "c", "d"]
    digest = hashlib.sha256(listed.read_bytes()).hexdigest()
    assert source.record["lists"] == {"val": {"sha256": digest, "pictures": 4}}
    listed.write_text("images/train/a 1.png\nimages/train/e.png\n")
    with pytest.raises(DataError, match=r"mine\.txt, line 2: 'images/train/e\.png' is not a picture"):
        open_source(f"folder:val={listed}", root)


def test_a_name_that_two_splits_share_is_no_name_in_a_list(tmp_path):
    folder(tmp_path, ["a", "b"], "train")
    folder(tmp_path, ["a"], "val")
    (tmp_path / "mine.txt").write_text("a\n")
    with pytest.raises(DataError, match="line 1: 'a' is not a picture"):
        open_source("folder:train=mine.txt", tmp_path)
    (tmp_path / "mine.txt").write_text("images/val/a.png\nb\n")
    assert names(open_source("folder:train=mine.txt", tmp_path), "train") == ["a", "b"]


def test_splits_can_be_put_together(tmp_path):
    folder(tmp_path, ["a", "b"], "train")
    folder(tmp_path, ["c"], "val")
    folder(tmp_path, ["d"], "test")
    source = open_source("folder:train=trainval,val=test", tmp_path)
    assert (names(source, "train"), names(source, "val")) == (["a", "b", "c"], ["d"])
    assert [sample.name for sample in open_source("folder", tmp_path).open("train+test")] == ["a", "b", "d"]


@pytest.mark.parametrize(
    ("ours", "theirs", "found"),
    [
        ([f"d_{n:04}" for n in range(0, 900, 30)], [f"d_{n:04}" for n in range(905, 1000, 2)], ("d_0870", "d_0905")),
        ([f"{n:03}" for n in range(10) if n % 3], [f"{n:03}" for n in range(10) if n % 3 == 0], ("001", "000")),
        ([f"train{n}" for n in range(9)], [f"val{n}" for n in range(9)], None),
        ([f"2007_{n:06}" for n in (32, 39, 63, 68, 121, 170)], [f"2007_{n:06}" for n in (33, 42, 61, 123, 129)], None),
        ([f"a{n}" for n in range(9)], [f"b{n}" for n in range(9)], None),
        ([f"{n:04}" for n in range(9)], [f"{n:04}" for n in range(4)], None),
        (["rain", "snow"], ["night"], None),
    ],
)
def test_recordings_on_both_sides_are_seen_by_their_names(ours, theirs, found):
    shared = shared_recordings(ours, theirs)
    assert (shared and shared.closest) == found
    assert shared is None or shared.pictures == len(theirs)


def test_a_training_on_frames_of_one_drive_says_so(tmp_path, caplog):
    root = folder(tmp_path / "data", [f"drive_{n:03}" for n in range(15)])
    chosen = TrainingSettings(
        model="tiny_networks:plain", data="folder", data_root=root, size=(32, 48),
        recipe=PAPER.changed({"epochs": 1}), hardware=CPU,
    )  # fmt: skip
    with caplog.at_level(logging.WARNING):
        run(chosen, tmp_path / "run")
    assert "3 of 3 pictures of val are of a drive that train has too" in caplog.text


def test_a_training_on_a_picture_that_val_has_too_says_so(tmp_path, caplog):
    root = folder(tmp_path / "data", ["a", "b"], "train")
    folder(root, ["c", "d"], "val")
    (root / "images/val/d.png").write_bytes((root / "images/train/b.png").read_bytes())
    with caplog.at_level(logging.WARNING):
        training_splits(open_source("folder", root))
    assert "1 of 2 pictures of val are in train too, such as d" in caplog.text


def test_frames_to_calibrate_with_are_converted_as_the_dataset_says(tmp_path):
    root = folder(tmp_path / "data", ["a", "b"], "train")
    save(root / "images/train/a.png", frame()[..., 0])
    for option, readable in (("folder", False), ("folder:convert-rgb=yes", True)):
        choose(option, root, count=2).save(tmp_path / "list.json")
        frames = Calibration.open(tmp_path / "list.json", root).frames(Preprocess(32, 32))
        with contextlib.nullcontext() if readable else pytest.raises(DataError, match="expected RGB"):
            assert len(list(frames)) == 2


def test_check_names_the_drive_that_the_hash_split_cut_apart(tmp_path, capsys):
    folder(tmp_path, [f"drive_{n:03}" for n in range(15)])
    assert main(["data", "check", str(tmp_path), "--json"]) == 0
    warnings = "\n".join(json.loads(capsys.readouterr().out)["warnings"])
    assert "3 of 3 pictures of val are of a drive that train has too" in warnings


MAPPING = """
ignore = ["SKY"]
[classes]
drivable = ["road", "pavement"]
vehicle = "Car"
[palette]
vehicle = [1, 2, 3]
"""


@pytest.fixture
def mapped(tmp_path):
    folder(tmp_path / "data", ["a", "b", "c"], "train", (0, 1, 2, 3, 255), ("Road", "Sky", "Car", "Pavement"))
    folder(tmp_path / "data", ["d"], "val", (0, 1, 2, 3, 255), ("Road", "Sky", "Car", "Pavement"))
    (tmp_path / "map.toml").write_text(MAPPING)
    return tmp_path


def test_a_mapping_merges_renames_and_ignores(mapped):
    source = open_source(f"folder:map={mapped / 'map.toml'}", mapped / "data")
    assert source.classes.names == ("drivable", "vehicle")
    assert source.classes.palette[1] == (1, 2, 3)
    assert source.classes.ignored == 255
    assert source.open("train")[0].labels[0, :5].tolist() == [0, 255, 1, 0, 255]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[classes]\nx = ["road"]\ny = ["car"]', "does not mention Sky, Pavement"),
        ('others = "ignore"\n[classes]\nx = ["roda"]', "Did you mean 'Road'"),
        ('ignore = ["road"]\nothers = "keep"\n[classes]\nx = ["road"]', "names class 'Road' twice"),
        ('others = "ignore"\n[classes]\nx = ["road"]', "got 1 classes; expected 2"),
        ('others = "drop"', "unknown value of others 'drop'"),
        ("colours = 3", "unknown key 'colours'"),
        ("[classes]\nx = 3", "not a class name or a list"),
        ("[classes", "not readable"),
    ],
)
def test_a_mapping_that_is_not_clear_is_refused(mapped, text, message):
    (mapped / "map.toml").write_text(text)
    with pytest.raises(DataError, match=message):
        open_source(f"folder:map={mapped / 'map.toml'}", mapped / "data")


def test_others_can_be_kept_under_their_names(mapped):
    (mapped / "map.toml").write_text('others = "keep"\n[classes]\nvehicle = "car"')
    source = open_source("folder:map=../map.toml", mapped / "data")
    assert source.classes.names == ("vehicle", "Road", "Sky", "Pavement")
    assert source.open("val")[0].labels[0, :5].tolist() == [1, 2, 0, 3, 255]


def test_a_mapping_lands_in_the_run_s_record(mapped, capsys, monkeypatch):
    monkeypatch.chdir(mapped)
    words = [
        "--model",
        "tiny_networks:plain",
        "--epochs",
        "1",
        "--batch-size",
        "1",
        "--device",
        "cpu",
        "--size",
        "32x48",
    ]
    out = ["--output-dir", str(mapped / "run")]
    assert main(["train", "--data", "folder", "--data-root", "data", "--map", "map.toml", *words, *out]) == 0
    config = json.loads((mapped / "run/config.json").read_text())
    assert config["dataset"]["map"]["classes"] == {"drivable": ["road", "pavement"], "vehicle": ["Car"]}
    assert config["data"] == f"folder:map={mapped / 'map.toml'}"
    evaluate = ["evaluate", str(mapped / "run/best.pt"), "--data", "folder", "--data-root", "data", "--map", "map.toml"]
    assert main([*evaluate, "--device", "cpu", "--json"]) == 0
    found = json.loads(capsys.readouterr().out.partition("{")[2].join(["{", ""]))
    assert set(found["iou"]) == {"drivable", "vehicle", "Unlabelled"}


def test_without_a_name_the_layout_is_found_and_recorded(mapped):
    words = [
        "--model",
        "tiny_networks:plain",
        "--epochs",
        "1",
        "--batch-size",
        "1",
        "--device",
        "cpu",
        "--size",
        "32x48",
    ]
    run_ = mapped / "run"
    assert main(["train", "--data-root", str(mapped / "data"), *words, "--output-dir", str(run_)]) == 0
    assert json.loads((run_ / "config.json").read_text())["data"] == "folder"
    assert main(["train", "--output-dir", str(run_), "--resume", "--epochs", "2"]) == 0
    assert main(["evaluate", str(run_ / "best.pt"), "--data-root", str(mapped / "data"), "--device", "cpu"]) == 0


def test_greyscale_pictures_train_when_asked_to(tmp_path, capsys):
    for split in ("train", "val"):
        folder(tmp_path, ["a", "b"], split)
        for name in ("a", "b"):
            save(tmp_path / "images" / split / f"{name}.png", frame()[..., 0])
    words = [
        "--model",
        "tiny_networks:plain",
        "--epochs",
        "1",
        "--batch-size",
        "1",
        "--device",
        "cpu",
        "--size",
        "32x48",
    ]
    train = ["train", "--data-root", str(tmp_path), *words, "--output-dir", str(tmp_path / "run")]
    assert main(train) == 2
    assert "pass --convert-rgb to run, train, evaluate or data check" in capsys.readouterr().err
    assert main([*train, "--convert-rgb"]) == 0
    assert main(["data", "check", str(tmp_path), "--convert-rgb"]) == 0
    evaluate = ["evaluate", str(tmp_path / "run/best.pt"), "--data-root", str(tmp_path), "--device", "cpu"]
    assert main([*evaluate, "--convert-rgb"]) == 0


def stored(pixels, orientation):
    """Return pixels as a camera stores them that notes ``orientation``, by the table of the EXIF standard."""
    undo = {
        1: lambda p: p,
        2: np.fliplr,
        3: lambda p: np.rot90(p, 2),
        4: np.flipud,
        5: lambda p: np.swapaxes(p, 0, 1),
        6: np.rot90,
        7: lambda p: np.rot90(np.swapaxes(p, 0, 1), 2),
        8: lambda p: np.rot90(p, -1),
    }
    return undo[orientation](pixels)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_labels_drawn_on_the_stored_picture_are_turned_with_it(tmp_path, caplog, orientation):
    upright = np.zeros(SIZE, np.uint8)
    upright[:5, :9], upright[12:, 3:6] = 1, 2
    exif = Image.Exif()
    exif[0x0112] = orientation
    folder(tmp_path, ["a"], "train")
    picture = stored(np.stack([upright * 100] * 3, axis=-1), orientation)
    save(tmp_path / "images/train/a.png", picture, exif=exif)
    save(tmp_path / "labels/train/a.png", stored(upright, orientation))
    with caplog.at_level(logging.WARNING):
        sample = open_source("folder", tmp_path).open("train")[0]
    assert np.array_equal(sample.frame[..., 0], upright * 100)
    if orientation in (1, 5, 6, 7, 8):  # the size tells
        assert np.array_equal(sample.labels, upright)
        assert ("the label is turned along" in caplog.text) == (orientation != 1)
    else:
        assert "add turn-labels=yes" in caplog.text
    turned = open_source("folder:turn-labels=yes", tmp_path).open("train")[0]
    assert np.array_equal(turned.labels, upright)
    save(tmp_path / "labels/train/a.png", upright)
    assert np.array_equal(open_source("folder", tmp_path).open("train")[0].labels, upright)
    assert np.array_equal(open_source("folder:turn-labels=no", tmp_path).open("train")[0].labels, upright)


def test_a_start_matches_classes_without_case_and_names_the_others(tmp_path, caplog):
    def training(name, classes, **changes):
        for split in ("train", "val"):
            folder(tmp_path / name, [f"{split}{n}" for n in range(2)], split, classes=classes)
        chosen = TrainingSettings(
            model="tiny_networks:plain",
            data="folder",
            data_root=tmp_path / name,
            protocol="standard",
            size=(32, 48),
            recipe=PAPER.changed({"epochs": 1, "lr": 1e-12}),
            hardware=CPU,
            **changes,
        )
        run(chosen, tmp_path / f"{name} run")
        return Checkpoint.load(tmp_path / f"{name} run/best.pt").weights

    before = training("first", ("Road", "Sky", "Car"))
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        after = training("second", ("tree", "sky", "ROAD", "person"), start=tmp_path / "first run/best.pt")
    assert "2 of 4 classes matched by name; start at random: tree, person; left out: Car" in caplog.text
    rows = [name for name in after if after[name].shape != before[name].shape]
    assert rows
    for name in rows:
        assert torch.allclose(after[name][[1, 2]], before[name][[1, 0]], atol=1e-7)
