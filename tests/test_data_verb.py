import json

import numpy as np
import pytest
from PIL import Image

from segfast_edge.cli import main
from segfast_edge.data import Protocol, open_dataset, open_source
from segfast_edge.data.check import check
from segfast_edge.data.contact_sheet import sheet
from segfast_edge.data.recognise import recognise

TINY = "scenes:size=32x48,train=3,val=2,test=1"


def write(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(pixels, np.uint8)).save(path)


@pytest.fixture
def camvid(tmp_path):
    """Two splits in CamVid's layout: three pictures to train on, two to validate."""
    for split, count in (("train", 3), ("val", 2)):
        for number in range(count):
            ids = np.full((20, 30), 3)
            ids[:5] = 0
            ids[10:, :6] = 11
            write(tmp_path / split / f"{number}.png", np.stack([ids * 20] * 3, axis=-1))
            write(tmp_path / f"{split}annot" / f"{number}.png", ids)
    return tmp_path


def check_json(capsys, *words):
    code = main(["data", "check", *map(str, words), "--json"])
    out = capsys.readouterr()
    return code, json.loads(out.out), out.err


def test_check_counts_samples_sizes_and_shares(camvid, capsys):
    code, found, _ = check_json(capsys, camvid)
    assert code == 0
    assert found["dataset"] == "camvid"
    assert found["ok"]
    train = found["splits"]["train"]
    assert train["samples"] == 3
    assert train["sizes"] == {"20x30": 3}
    assert train["void_share"] == pytest.approx(60 / 600)
    assert train["shares"]["Sky"] == pytest.approx(150 / 540)
    assert train["shares"]["Road"] == pytest.approx(390 / 540)
    assert "Bicyclist" in found["absent_classes"]


def test_check_names_every_fault_and_exits_2(camvid, capsys):
    (camvid / "trainannot/0.png").unlink()
    (camvid / "val/1.png").unlink()
    labels = np.full((20, 30), 3)
    labels[2, 4] = 77
    write(camvid / "trainannot/1.png", labels)
    write(camvid / "train/2.png", np.zeros((21, 30, 3)))
    code, found, err = check_json(capsys, camvid)
    assert code == 2
    problems = "\n".join(line for split in found["splits"].values() for line in split["problems"])
    assert "no label for" in problems
    assert "train/0.png" in problems
    assert "no image for" in problems
    assert "valannot/1.png" in problems
    assert "trainannot/1.png has value 77 at row 2, column 4; allowed: 0-11" in problems
    assert "sample 2: the image is 21x30 and its labels 20x30" in problems
    assert "4 problem(s)" in err
    assert err.count("\n") == 1
    assert found["splits"]["train"]["sizes"] == {}


def test_check_prints_a_table_with_the_problems_below(camvid, capsys):
    (camvid / "train/0.png").write_bytes(b"not a picture")
    assert main(["data", "check", str(camvid)]) == 2
    out = capsys.readouterr().out
    assert "camvid: 11 classes" in out
    assert "0.png is not a readable image" in out


def test_check_writes_a_sheet_of_samples(camvid, tmp_path_factory):
    path = tmp_path_factory.mktemp("sheet") / "sheet.png"
    assert main(["data", "check", str(camvid), "--picture", str(path)]) == 0
    with Image.open(path) as picture:
        assert picture.width > 900
        assert picture.height > 4 * 200


def test_check_takes_a_name_and_needs_no_folder(capsys):
    code, found, _ = check_json(capsys, TINY)
    assert code == 0
    assert {name: split["samples"] for name, split in found["splits"].items()} == {"train": 3, "val": 2, "test": 1}


def test_check_takes_a_name_with_its_folder(camvid, capsys):
    assert check_json(capsys, "camvid", "--data-root", camvid)[0] == 0
    assert check_json(capsys, camvid, "--dataset", "camvid")[0] == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["scense"], "Did you mean 'scenes'"),
        (["camvid"], "needs its folder"),
        ([".", "--dataset", "camvit"], "Did you mean 'camvid'"),
    ],
)
def test_check_of_what_is_not_there_is_one_line(words, message, capsys):
    assert main(["data", "check", *words]) == 2
    err = capsys.readouterr().err
    assert message in err
    assert err.count("\n") == 1


def test_a_folder_of_no_known_layout_says_what_is_expected(tmp_path, capsys):
    assert main(["data", "check", str(tmp_path)]) == 2
    assert "no folder 'images'" in capsys.readouterr().err


def test_a_folder_is_counted_once_although_it_has_three_splits(tmp_path):
    for number in range(5):
        write(tmp_path / f"images/{number}.png", np.zeros((20, 30, 3)))
        write(tmp_path / f"labels/{number}.png", np.resize([0, 1], (20, 30)))
    name, source = recognise(tmp_path)
    assert name == "folder"
    calls = []
    found = check(name, source, lambda done, total: calls.append((done, total)))
    assert [(split.split, split.samples) for split in found.splits] == [("all", 5)]
    assert calls == [(n, 5) for n in range(1, 6)]


def test_export_writes_what_folder_reads_back(tmp_path, capsys):
    out = tmp_path / "mine"
    assert main(["data", "export", TINY, "--out", str(out), "--count", "2"]) == 0
    assert "5 samples of train, val, test" in capsys.readouterr().out
    protocol = Protocol.named("standard", (32, 48))
    drawn, read = open_dataset(TINY, None, "train", protocol), open_dataset("folder", out, "train", protocol)
    assert len(read) == 2
    assert read.classes == drawn.classes
    assert read[1].name == drawn[1].name
    assert np.array_equal(read[1].frame, drawn[1].frame)
    assert np.array_equal(read[1].labels, drawn[1].labels)


def test_export_leaves_an_existing_folder_alone(tmp_path, capsys):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/notes.txt").write_text("keep")
    assert main(["data", "export", TINY, "--out", str(tmp_path / "mine")]) == 2
    assert "exists already" in capsys.readouterr().err
    assert [p.name for p in (tmp_path / "mine").iterdir()] == ["notes.txt"]


def test_export_that_fails_leaves_nothing(camvid, tmp_path_factory, capsys):
    (camvid / "val/1.png").write_bytes(b"no")
    parent = tmp_path_factory.mktemp("out")
    assert main(["data", "export", "camvid", "--data-root", str(camvid), "--out", str(parent / "x")]) == 2
    assert list(parent.iterdir()) == []
    assert main(["data", "export", TINY, "--out", str(parent / "x"), "--count", "0"]) == 2
    assert "--count 0" in capsys.readouterr().err


def test_a_sheet_holds_the_frame_and_the_class_colours():
    source = open_source(TINY, None)
    sample = source.open("train")[0]
    page = sheet([sample, sample], source.classes)
    colours = {tuple(pixel) for pixel in page.reshape(-1, 3).tolist()}
    present = {source.classes.palette[k] for k in np.unique(sample.labels) if k < len(source.classes)}
    assert present <= colours
    assert 3 * 320 < page.shape[1] < 4 * 320
    assert page.shape[0] > 2 * 320 * sample.frame.shape[0] / sample.frame.shape[1]


def own(root, split, labels, seed=0, names=("road", "sky", "car")):
    """Write pictures with these label arrays, one picture of noise each."""
    rng = np.random.default_rng(seed)
    for number, ids in enumerate(labels):
        small = rng.integers(0, 256, (6, 8, 3), np.uint8)
        picture = Image.fromarray(small).resize((np.shape(ids)[1], np.shape(ids)[0]), Image.Resampling.BILINEAR)
        write(root / "images" / split / f"{split}{number}.png", np.asarray(picture))
        write(root / "labels" / split / f"{split}{number}.png", ids)
    (root / "classes.json").write_text(json.dumps({"names": list(names)}))
    return root


def areas(*values, high=48, wide=64):
    """Labels of a few areas, none of them small."""
    ids = np.full((high, wide), values[0])
    for number, value in enumerate(values[1:], 1):
        ids[8 * number :, 10 * number :] = value
    return ids


@pytest.mark.parametrize("filter_", [Image.Resampling.BILINEAR, Image.Resampling.BICUBIC, Image.Resampling.LANCZOS])
@pytest.mark.parametrize("classes", [3, 19])
def test_check_sees_that_labels_were_resized_with_smoothing(tmp_path, capsys, filter_, classes):
    values = (0, classes // 2, classes - 1) if classes > 3 else (0, 100, 200)
    sharp = Image.fromarray(areas(*values, high=96, wide=128).astype(np.uint8))
    names = [f"class {n}" for n in range(classes)]
    soft = own(tmp_path / "soft", "train", [np.asarray(sharp.resize((96, 72), filter_))] * 3, names=names)
    code, found, err = check_json(capsys, soft)
    if classes > 3:  # the values between two classes are classes themselves
        assert code == 0
        assert "the labels look smoothed" in found["warnings"][0]
    else:
        assert code == 2
        assert "the first: train: the labels look smoothed" in err
    plain = own(tmp_path / "plain", "train", [np.asarray(sharp.resize((96, 72), 0))] * 3, names=names)
    assert not any("smoothed" in line for line in check_json(capsys, plain)[1]["warnings"])


def test_check_does_not_take_noise_or_thin_stripes_for_smoothing(tmp_path, capsys):
    noise = np.random.default_rng(0).integers(0, 3, (48, 64))
    own(tmp_path, "train", [noise, np.resize([0, 1, 2], (48, 64))])
    assert not any("smoothed" in line for line in check_json(capsys, tmp_path)[1]["warnings"])


def test_check_finds_the_same_picture_and_its_copies_on_both_sides(tmp_path, capsys):
    own(tmp_path, "train", [areas(0, 1, 2)] * 4)
    own(tmp_path, "test", [areas(0, 1, 2)], seed=2)  # comes before train by its name
    own(tmp_path, "val", [areas(0, 1, 2)] * 3, seed=1)
    Image.open(tmp_path / "images/train/train2.png").save(tmp_path / "images/test/test0.png")
    first = Image.open(tmp_path / "images/train/train0.png")
    first.save(tmp_path / "images/val/val0.png")
    second = Image.open(tmp_path / "images/train/train1.png")
    second.save(tmp_path / "images/val/val1.jpg", quality=60)
    (tmp_path / "images/val/val1.png").unlink()
    code, found, _ = check_json(capsys, tmp_path)
    assert code == 0
    text = "\n".join(found["warnings"])
    assert "1 of 1 pictures of test are in train too, such as train2 (train) and test0 (test)" in text
    assert "1 of 3 pictures of val are in train too, such as train0 (train) and val0 (val)" in text
    assert "1 of 3 pictures of val look like one of train, such as train1 (train) and val1 (val)" in text
    assert "more than once" not in text


def test_check_finds_what_cannot_be_learned_and_what_is_odd(tmp_path, capsys):
    own(tmp_path, "train", [areas(0, 1), areas(0, 1), np.zeros((300, 40)), np.zeros((12, 96))])
    own(tmp_path, "val", [areas(1, 2)], seed=1)
    text = "\n".join(check_json(capsys, tmp_path)[1]["warnings"])
    assert "classes that val has and train has not: car" in text
    assert "2 of 5 labels hold a single class, such as train2 (road)" in text
    assert "sizes differ: from 12x96 to 300x40" in text
    assert "shapes differ: 300x40 and 12x96" in text
    assert "a picture of 12x96 (height x width) is very elongated" in text


def test_check_prints_warnings_below_the_table(tmp_path, capsys):
    own(tmp_path, "train", [areas(0, 1)])
    own(tmp_path, "val", [areas(1, 2)], seed=1)
    assert main(["data", "check", str(tmp_path)]) == 0
    assert "warning: classes that val has and train has not: car" in capsys.readouterr().out
