import json
import logging
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segfast_edge.cli import main
from segfast_edge.contract.preprocess import Preprocess
from segfast_edge.contract.shared.files import sha256
from segfast_edge.contract.shared.images import read_frame
from segfast_edge.data.calibration import Calibration, CalibrationList, ListedFrame, choose, shipped
from segfast_edge.errors import DataError

CAMVID = Path(__file__).resolve().parents[2] / "shared" / "camvid"
PREPROCESS = Preprocess(32, 48)


@pytest.fixture
def camvid(tmp_path):
    """CamVid's layout with eight pictures in each split."""
    rng = np.random.default_rng(0)
    for split in ("train", "val"):
        for number in range(8):
            for folder, pixels in ((split, rng.integers(0, 256, (20, 30, 3))), (f"{split}annot", np.full((20, 30), 3))):
                (tmp_path / folder).mkdir(exist_ok=True)
                Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / folder / f"{number}.png")
    return tmp_path


def test_a_list_survives_a_file_and_names_what_it_was_drawn_from(camvid, tmp_path):
    chosen = choose("camvid", camvid, count=5, seed=3)
    chosen.save(tmp_path / "list.json")
    assert CalibrationList.load(tmp_path / "list.json") == chosen
    assert (chosen.dataset, chosen.split, chosen.seed, len(chosen.entries)) == ("camvid", "train", 3, 5)
    for entry in chosen.entries:
        assert entry.path.startswith("train/")
        assert entry.sha256 == sha256(camvid / entry.path)


def test_the_choice_is_made_by_the_seed(camvid):
    assert choose("camvid", camvid, count=5, seed=1) == choose("camvid", camvid, count=5, seed=1)
    paths = {tuple(e.path for e in choose("camvid", camvid, count=5, seed=seed).entries) for seed in range(4)}
    assert len(paths) > 1


def test_frames_are_what_preprocessing_gives_the_network(camvid):
    chosen = choose("camvid", camvid, count=4)
    frames = list(Calibration(chosen, camvid).frames(PREPROCESS))
    assert len(frames) == 4
    for entry, frame in zip(chosen.entries, frames, strict=True):
        assert frame.shape == (32, 48, 3)
        assert np.array_equal(frame, PREPROCESS.image(read_frame(camvid / entry.path)))


def test_a_subset_is_spread_over_the_list(camvid):
    chosen = choose("camvid", camvid, count=8)
    some = list(Calibration(chosen, camvid).frames(PREPROCESS, count=3))
    every = list(Calibration(chosen, camvid).frames(PREPROCESS))
    assert [next(k for k, f in enumerate(every) if np.array_equal(f, s)) for s in some] == [0, 3, 7]
    for count in (0, 9):
        with pytest.raises(DataError, match=f"{count} calibration frames asked for; the list has 8"):
            next(Calibration(chosen, camvid).frames(PREPROCESS, count=count))


@pytest.mark.parametrize("split", ["val", "test", "VAL", "all"])
def test_a_list_from_what_is_measured_on_is_refused(camvid, tmp_path, split):
    entry = {"path": "a/0.png", "sha256": "0"}
    content = {"calibration_version": 1, "dataset": "camvid", "split": split, "seed": 0, "entries": [entry]}
    (tmp_path / "list.json").write_text(json.dumps(content))
    with pytest.raises(DataError, match="is refused"):
        CalibrationList.load(tmp_path / "list.json")


def test_a_list_that_says_train_but_holds_val_is_refused():
    with pytest.raises(DataError, match="'val' is what models are measured on"):
        ListedFrame("val/0.png", "0")


def test_choosing_from_val_is_refused(camvid):
    with pytest.raises(DataError, match="is refused"):
        choose("camvid", camvid, split="val", count=3)


def test_a_folder_of_pictures_is_a_calibration_set_unless_it_is_a_measured_split(camvid):
    opened = Calibration.open(camvid / "train", None)
    assert len(list(opened.frames(PREPROCESS))) == 8
    with pytest.raises(DataError, match="'val' is what models are measured on"):
        Calibration.open(camvid / "val", None)


def test_a_changed_or_missing_file_is_refused(camvid):
    chosen = choose("camvid", camvid, count=8)
    victim = camvid / chosen.entries[2].path
    Image.new("RGB", (30, 20)).save(victim)
    with pytest.raises(DataError, match=f"{victim.name} is not the one that was listed"):
        list(Calibration(chosen, camvid).frames(PREPROCESS))
    victim.unlink()
    with pytest.raises(DataError, match="is not in"):
        list(Calibration(chosen, camvid).frames(PREPROCESS))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "not readable"),
        ("{}", "has version None; this release reads 1"),
        ('{"calibration_version": 2}', "has version 2"),
        ('{"calibration_version": 1}', "malformed: KeyError 'dataset'"),
        ('{"calibration_version": 1, "dataset": "x", "split": "train", "seed": 0, "entries": []}', "is empty"),
        ('{"calibration_version": 1, "dataset": "x", "split": "train", "seed": 0, "entries": [3]}', "malformed"),
        (
            '{"calibration_version": 1, "dataset": "x", "split": "train", "seed": 0,'
            ' "entries": [{"path": "../../etc/a.png", "sha256": "0"}]}',
            "does not lie below",
        ),
        (
            '{"calibration_version": 1, "dataset": "x", "split": "train", "seed": 0,'
            ' "entries": [{"path": "a.png", "sha256": "0"}, {"path": "a.png", "sha256": "0"}]}',
            "names a frame twice",
        ),
    ],
)
def test_a_malformed_list_is_one_clear_line(tmp_path, content, message):
    (tmp_path / "list.json").write_text(content)
    with pytest.raises(DataError, match=message):
        CalibrationList.load(tmp_path / "list.json")


def test_a_list_that_is_not_there_or_has_no_folder_is_refused(camvid, tmp_path):
    with pytest.raises(DataError, match="does not exist"):
        Calibration.open(tmp_path / "nowhere.json", camvid)
    choose("camvid", camvid, count=2).save(tmp_path / "list.json")
    with pytest.raises(DataError, match="--data-root"):
        Calibration.open(tmp_path / "list.json", None)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no picture in"):
        Calibration.open(tmp_path / "empty", None)


def test_more_frames_than_there_are_or_a_dataset_without_files_is_refused(camvid):
    with pytest.raises(DataError, match="300 frames asked for; camvid train has 8"):
        choose("camvid", camvid)
    with pytest.raises(DataError, match="segfast-edge data export scenes"):
        choose("scenes", camvid)


def test_frames_that_are_all_alike_are_used_with_a_warning(camvid, tmp_path, caplog):
    for number in range(3):
        Image.new("RGB", (30, 20), (90, 90, 90 + number)).save(tmp_path / f"flat{number}.png")
    with caplog.at_level(logging.WARNING):
        assert len(list(Calibration.open(tmp_path, None).frames(PREPROCESS))) == 3
    assert "almost identical" in caplog.text
    caplog.clear()
    assert len(list(Calibration(choose("camvid", camvid, count=4), camvid).frames(PREPROCESS))) == 4
    assert not caplog.text


def test_the_manifest_learns_where_the_numbers_come_from(camvid):
    described = Calibration(choose("camvid", camvid, count=4), camvid).describe()
    assert {k: described[k] for k in ("dataset", "split", "seed", "frames")} == {
        "dataset": "camvid",
        "split": "train",
        "seed": 0,
        "frames": 4,
    }
    assert described != Calibration(choose("camvid", camvid, count=4, seed=1), camvid).describe()


def test_the_verb_writes_a_list(camvid, tmp_path, capsys):
    words = ["data", "calibration", "camvid", "--data-root", str(camvid), "--count", "4", "--out"]
    assert main([*words, str(tmp_path / "new.json")]) == 0
    assert "4 frames of camvid train" in capsys.readouterr().out
    assert len(CalibrationList.load(tmp_path / "new.json").entries) == 4
    assert main([*words, str(tmp_path / "no.json"), "--split", "val"]) == 2
    assert not (tmp_path / "no.json").exists()


def test_every_shipped_list_is_sound():
    assert "camvid_train_300" in shipped()
    for path in shipped().values():
        listed = CalibrationList.load(path)
        assert all(len(entry.sha256) == 64 for entry in listed.entries)


@pytest.mark.skipif(not CAMVID.is_dir(), reason=f"no CamVid at {CAMVID}")
def test_the_shipped_list_is_of_this_camvid():
    opened = Calibration.open(Path("camvid_train_300"), CAMVID)
    assert len(opened.listed.entries) == 300
    assert len(list(opened.frames(PREPROCESS, count=6))) == 6
    assert choose("camvid", CAMVID, count=300, seed=0) == opened.listed
