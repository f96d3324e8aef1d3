import io
import itertools
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tiny_artifacts
from PIL import Image, ImageDraw

from segfast_edge.cli import _progress, main
from segfast_edge.contract.overlay import colour_mask, overlay
from segfast_edge.contract.shared.images import read_frame, read_labels, write_picture
from segfast_edge.errors import ArtifactError, DataError
from segfast_edge.prediction.in_order import in_order
from segfast_edge.prediction.predict import PredictionOutput, free_folder, plan, predict
from segfast_edge.prediction.predictor import open_predictor
from segfast_edge.prediction.saving import KINDS, VIDEO_KINDS, Look


@pytest.fixture(scope="module")
def artifact(tmp_path_factory):
    return tiny_artifacts.write_artifact(tmp_path_factory.mktemp("artifact") / "model", "onnx")


def picture(path, size=(tiny_artifacts.HEIGHT, tiny_artifacts.WIDTH), seed=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    write_picture(path, tiny_artifacts.frame(*size, seed))
    return path


def planned(inputs):
    return plan([str(each) for each in inputs])


def written(inputs, out, predictor, opacity=0.5):
    return list(predict(predictor, planned(inputs), PredictionOutput(out, Look(opacity))))


def test_three_pictures_at_the_frames_size_whose_mask_is_the_networks(artifact, tmp_path):
    frame = read_frame(picture(tmp_path / "a.png"))
    predictor = open_predictor(artifact)
    (done,) = written([tmp_path / "a.png"], tmp_path / "out", predictor, 0.25)
    mask = read_labels(tmp_path / "out/a.mask.png")
    assert np.array_equal(mask, tiny_artifacts.expected(frame[np.newaxis])[0])
    assert np.array_equal(read_frame(tmp_path / "out/a.colour.png"), colour_mask(mask, predictor.classes))
    assert np.array_equal(read_frame(tmp_path / "out/a.overlay.png"), overlay(frame, mask, predictor.classes, 0.25))
    assert sum(done.shares.values()) == pytest.approx(1)


def test_a_frame_of_another_size_keeps_its_size(artifact, tmp_path):
    picture(tmp_path / "wide.png", (51, 130))
    written([tmp_path / "wide.png"], tmp_path / "out", open_predictor(artifact))
    for kind in ("mask", "colour", "overlay"):
        with Image.open(tmp_path / f"out/wide.{kind}.png") as found:
            assert found.size == (130, 51)


def test_pictures_of_one_stem_do_not_overwrite_each_other(artifact, tmp_path):
    inputs = [picture(tmp_path / name) for name in ("x/a.png", "x/a.bmp", "y/a.png", "z/y/a.png", "b.png")]
    jobs = planned([*inputs, inputs[0]])
    assert len(jobs) == 5  # the first is given twice
    assert len({job.name for job in jobs}) == 5
    assert jobs[1].name == "a.bmp"
    assert jobs[4].name == "b"
    written(inputs, tmp_path / "out", open_predictor(artifact))
    assert len(list((tmp_path / "out").iterdir())) == 15


def test_a_folder_stands_for_its_pictures(tmp_path):
    for name in ("2.png", "1.png", "notes.txt"):
        (tmp_path / "in").mkdir(exist_ok=True)
        (tmp_path / f"in/{name}").write_text("") if name.endswith("txt") else picture(tmp_path / f"in/{name}")
    assert [job.name for job in planned([tmp_path / "in"])] == ["1", "2"]


def grey_of(size=(tiny_artifacts.WIDTH, tiny_artifacts.HEIGHT)):
    """A ramp of grey, 0 to 255, in Pillow's own 8-bit mode."""
    return Image.linear_gradient("L").resize(size)


def in_mode(mode):
    """The ramp in another mode that shows the same, and the grey that it shows."""
    grey = np.asarray(grey_of())
    if mode == "I;16":
        return Image.fromarray(grey.astype(np.uint16) * 257), grey
    if mode == "1":
        return grey_of().point(lambda value: 255 * (value > 99), "1"), np.where(grey > 99, 255, 0)
    if mode == "P":
        return grey_of().quantize(256), grey
    return grey_of().convert("RGB").convert(mode), grey


@pytest.mark.parametrize("mode", ["L", "LA", "RGBA", "P", "1", "I;16", "CMYK"])
def test_a_picture_of_any_mode_is_segmented_as_what_it_shows(artifact, tmp_path, mode):
    shown, grey = in_mode(mode)
    shown.save(tmp_path / ("a.tif" if mode == "CMYK" else "a.png"))
    (done,) = written(tmp_path.glob("a.*"), tmp_path / "out", open_predictor(artifact))
    assert not done.problem
    frame = np.repeat(grey[:, :, np.newaxis], 3, 2).astype(np.uint8)
    mask = read_labels(tmp_path / "out/a.mask.png")
    assert np.mean(mask == tiny_artifacts.expected(frame[np.newaxis])[0]) > 0.99


def test_what_cannot_be_read_is_told_at_the_end_and_does_not_end_the_rest(artifact, tmp_path, capsys):
    for name in ("1", "2", "3", "4"):
        picture(tmp_path / f"in/{name}.png")
    (tmp_path / "in/2.png").write_bytes((tmp_path / "in/1.png").read_bytes()[:200])
    Image.new("F", (48, 32)).save(tmp_path / "in/3.tiff")
    (tmp_path / "in/3.png").unlink()
    words = ["predict", str(tmp_path / "in"), "--model", str(artifact), "--out", str(tmp_path / "out")]
    assert main(words) == 2
    said = capsys.readouterr()
    assert "2 pictures segmented" in said.out
    bad, worse, last = said.err.splitlines()
    assert "2.png is not a readable image" in bad
    assert "3.tiff holds floating-point pixels" in worse
    assert last == "segfast-edge: 2 of 4 could not be segmented"
    assert sorted(each.name[0] for each in (tmp_path / "out").glob("*.mask.png")) == ["1", "4"]
    assert main([*words, "--json"]) == 2
    told = json.loads(capsys.readouterr().out)
    assert [("problem" in each, "files" in each) for each in told] == [(False, True)] * 2 + [(True, False)] * 2
    assert main(["predict", str(tmp_path / "in/2.png"), *words[2:]]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_name_with_nothing_behind_it_is_refused_before_anything_is_written(artifact, tmp_path):
    good = picture(tmp_path / "good.png")
    (tmp_path / "empty").mkdir()
    for bad, message in (("gone.png", "no such image"), ("empty", "no picture in"), ("*.jpg", "nothing matches")):
        with pytest.raises(DataError, match=message):
            planned([good, tmp_path / bad])
    words = ["predict", str(good), str(tmp_path / "gone.png"), "--model", str(artifact)]
    assert main([*words, "--out", str(tmp_path / "out")]) == 2
    assert not (tmp_path / "out").exists()


def test_patterns_and_several_sources_name_each_picture_once(tmp_path):
    for name in ("a/1.png", "a/b/2.png", "a/b/3.jpg", "c.png"):
        picture(tmp_path / name)
    jobs = planned([tmp_path / "a/**/*.png", tmp_path / "a/b", tmp_path / "c.png"])
    assert [job.name for job in jobs] == ["1", "2", "3", "c"]
    literal = picture(tmp_path / "d/[x].png")  # a file whose name looks like a pattern
    assert [job.source.path for job in planned([literal])] == [literal]


def piped(artifact, tmp_path, said):
    words = ["predict", "-", "--model", str(artifact), "--out", "out", "--json"]
    command = [sys.executable, "-m", "segfast_edge", *words]
    return subprocess.run(command, input=said, capture_output=True, cwd=tmp_path)


def test_standard_input_is_a_picture_or_names_of_pictures(artifact, tmp_path):
    frame = tiny_artifacts.frame(tiny_artifacts.HEIGHT, tiny_artifacts.WIDTH)
    stream = io.BytesIO()
    Image.fromarray(frame).save(stream, "PNG")
    assert piped(artifact, tmp_path, stream.getvalue()).returncode == 0
    expected = tiny_artifacts.expected(frame[np.newaxis])[0]
    assert np.array_equal(read_labels(tmp_path / "out/stdin.mask.png"), expected)
    for name in ("a.png", "b.png"):
        picture(tmp_path / name)
    done = piped(artifact, tmp_path, b"a.png\n\nb.png\n")
    assert [each["picture"] for each in json.loads(done.stdout)] == ["a.png", "b.png"]
    for said, answer in ((b"", "is empty"), (b"\xff\xfe\x00\x01", "neither a picture nor a list")):
        done = piped(artifact, tmp_path, said)
        assert done.returncode == 2
        assert answer in done.stderr.decode()


def test_a_video_becomes_a_video_of_overlays(artifact, tmp_path):
    cv2 = pytest.importorskip("cv2")
    size = (2 * tiny_artifacts.HEIGHT, 2 * tiny_artifacts.WIDTH)
    frames = [tiny_artifacts.frame(*size, seed) for seed in range(7)]
    writer = cv2.VideoWriter(str(tmp_path / "drive.avi"), cv2.VideoWriter_fourcc(*"MJPG"), 12.5, size[::-1])
    for frame in frames:
        writer.write(np.ascontiguousarray(frame[:, :, ::-1]))
    writer.release()
    predictor = open_predictor(artifact)
    picture(tmp_path / "still.png")
    still, video = written([tmp_path / "drive.avi", tmp_path / "still.png"], tmp_path / "out", predictor, 1.0)
    assert still.picture.name == "still.png"
    assert sum(video.shares.values()) == pytest.approx(1)
    assert [path.name for path in video.files.values()] == ["drive.overlay.mp4"]
    found = cv2.VideoCapture(str(video.files["overlay"]))
    assert found.get(cv2.CAP_PROP_FPS) == pytest.approx(12.5)
    for frame in frames:
        here, pixels = found.read()
        assert here
        small = np.asarray(Image.fromarray(frame).resize((size[1] // 2, size[0] // 2), Image.Resampling.BILINEAR))
        labels = tiny_artifacts.expected(small[np.newaxis])[0].repeat(2, 0).repeat(2, 1)
        painted = colour_mask(labels, predictor.classes).astype(int)
        assert np.median(abs(pixels[:, :, ::-1].astype(int) - painted)) < 16  # lossy twice
    assert not found.read()[0]


def test_a_video_that_cannot_be_read_is_told_and_leaves_nothing(artifact, tmp_path, capfd):
    pytest.importorskip("cv2")
    (tmp_path / "broken.mp4").write_bytes(os.urandom(4000))
    words = ["predict", str(tmp_path / "broken.mp4"), "--model", str(artifact), "--out", str(tmp_path / "out")]
    assert main(words) == 2
    assert "broken.mp4 is not a readable video" in capfd.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_video_without_opencv_says_what_to_install(artifact, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "cv2", None)
    (tmp_path / "drive.mp4").write_bytes(b"never read")
    words = ["predict", str(tmp_path / "drive.mp4"), "--model", str(artifact), "--out", str(tmp_path / "out")]
    assert main(words) == 2
    assert "pip install 'segfast-edge[camera]'" in capsys.readouterr().err


def test_without_a_terminal_a_line_tells_now_and_then_how_far_it_is(monkeypatch, capsys):
    seconds = itertools.count()
    monkeypatch.setattr(_progress, "_EVERY_S", 10.0)
    monkeypatch.setattr(_progress.time, "monotonic", lambda: float(next(seconds)))
    with _progress.bar("segmenting") as told:
        for done in range(1, 26):
            told(done, 50)
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        "segmenting: 10 of 50, 1.0 a second, 40 s left",
        "segmenting: 20 of 50, 1.0 a second, 30 s left",
    ]


def test_predicting_again_writes_into_numbered_folders_and_changes_nothing(artifact, tmp_path, capsys):
    path, out = picture(tmp_path / "a.png"), tmp_path / "out"
    words = ["predict", str(path), "--model", str(artifact), "--out", str(out)]
    for folder in ("out", "out2", "out3"):
        before = {each: each.read_bytes() for each in sorted(tmp_path.rglob("*.png"))}
        assert main([*words, "--opacity", "0.3" if folder == "out" else "0.8"]) == 0
        assert f"results in {tmp_path / folder}\n" in capsys.readouterr().out
        assert sorted(each.name for each in (tmp_path / folder).iterdir()) == [
            "a.colour.png",
            "a.mask.png",
            "a.overlay.png",
            "predict.toml",
        ]
        assert all(each.read_bytes() == data for each, data in before.items())
    assert main(["predict", str(picture(tmp_path / "b.png")), *words[2:]]) == 0  # nothing of b is in out yet
    assert len(list(out.glob("*.png"))) == 6
    assert main([*words, "--opacity", "0.8", "--overwrite"]) == 0
    assert (out / "a.overlay.png").read_bytes() == (tmp_path / "out2/a.overlay.png").read_bytes()
    assert not (tmp_path / "out4").exists()


def test_an_output_folder_that_is_a_file_is_refused(tmp_path):
    with pytest.raises(ArtifactError, match="is a file"):
        free_folder(picture(tmp_path / "a.png"), [])
    with pytest.raises(DataError, match=r"--opacity 1\.5"):
        Look(1.5)


def test_an_output_folder_that_cannot_be_made_is_one_line(artifact, tmp_path, capsys):
    path = picture(tmp_path / "a.png")
    assert main(["predict", str(path), "--model", str(artifact), "--out", str(path / "out")]) == 2
    error = capsys.readouterr().err
    assert error.startswith("segfast-edge: cannot write")
    assert error.count("\n") == 1


def predicted(artifact, tmp_path, *words):
    return main(["predict", *map(str, words), "--model", str(artifact)])


@pytest.fixture
def archive(tmp_path):
    """Seven pictures of several sizes."""
    for seed in range(7):
        picture(tmp_path / f"archive/{seed}.png", (40 + 3 * seed, 60 - seed), seed)
    return tmp_path / "archive"


def true_mask(path):
    """Return the mask worked out by hand: the tiny network's labels for a picture, at the picture's size."""
    frame = Image.open(path).convert("RGB")
    small = np.asarray(frame.resize((tiny_artifacts.WIDTH, tiny_artifacts.HEIGHT), Image.Resampling.BILINEAR))
    labels = Image.fromarray(tiny_artifacts.expected(small[np.newaxis])[0])
    return np.asarray(labels.resize(frame.size, Image.Resampling.NEAREST))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_coco_documents_are_read_by_cocos_own_library_and_give_the_masks_back(artifact, archive, tmp_path, capsys):
    from pycocotools.coco import COCO

    out = tmp_path / "out"
    assert predicted(artifact, tmp_path, archive, "--save", "labels,coco", "--out", out) == 0
    read = COCO(str(out / "coco.json"))
    assert len(read.imgs) == 7
    names = {each["id"]: each["name"] for each in read.loadCats(read.getCatIds())}
    for image in read.imgs.values():
        mask = read_labels(out / f"{Path(image['file_name']).stem}.mask.png")
        painted = np.full(mask.shape, 255)
        for annotation in read.loadAnns(read.getAnnIds(image["id"])):
            inside = read.annToMask(annotation).astype(bool)
            assert inside.sum() == annotation["area"]
            left, top, wide, high = annotation["bbox"]
            rows, columns = np.nonzero(inside)
            assert (left, top) == (columns.min(), rows.min())
            assert (wide, high) == (np.ptp(columns) + 1, np.ptp(rows) + 1)
            painted[inside] = annotation["category_id"] - 1
        assert np.array_equal(painted, mask)
    assert len(names) == tiny_artifacts.CLASSES


def test_contours_filled_by_another_library_give_the_masks_back(artifact, archive, tmp_path):
    pytest.importorskip("cv2")
    out = tmp_path / "out"
    assert predicted(artifact, tmp_path, archive, "--save", "labels,contours", "--out", out) == 0
    for path in sorted(out.glob("*.contours.json")):
        found = json.loads(path.read_text())
        mask = read_labels(out / path.name.replace("contours.json", "mask.png"))
        names = open_predictor(artifact).classes.names
        for label, name in enumerate(names):
            inside = np.zeros(mask.shape, bool)
            for region in (each for each in found["contours"] if each["class"] == name):
                inside |= filled(region["outer"], mask.shape) & ~holes(region["holes"], mask.shape)
            assert np.array_equal(inside, mask == label), f"{path.name}: {name}"


def filled(points, shape, *, border=True):
    """Return what Pillow fills of a polygon; without ``border`` only what lies within its outline."""
    page = Image.new("1", (shape[1], shape[0]))
    flat = [tuple(point) for point in points]
    draw = ImageDraw.Draw(page)
    if len(flat) == 1:
        draw.point(flat, 1)
    else:
        draw.polygon(flat, fill=1, outline=1) if len(flat) > 2 else draw.line(flat, 1)
        if not border:
            draw.line([*flat, flat[0]], 0)
    return np.asarray(page)


def holes(polygons, shape):
    inside = np.zeros(shape, bool)
    for points in polygons:
        inside |= filled(points, shape, border=False)
    return inside


def test_only_the_chosen_classes_are_shown_and_the_labels_stay_complete(artifact, archive, tmp_path, capsys):
    out, names = tmp_path / "out", open_predictor(artifact).classes.names
    words = ("--save", ",".join(KINDS), "--classes", f"{names[1]},{names[3]}", "--out", out, "--json")
    assert predicted(artifact, tmp_path, archive, *words) == 0
    assert all(each["shares"].keys() == {names[1], names[3]} for each in json.loads(capsys.readouterr().out))
    for path in sorted(archive.glob("*.png")):
        frame, mask = read_frame(path), read_labels(out / f"{path.stem}.mask.png")
        shown = (mask == 1) | (mask == 3)
        assert np.array_equal(mask, true_mask(path))
        assert set(np.unique(mask)) - {1, 3}, "otherwise this shows nothing"
        side = read_frame(out / f"{path.stem}.side-by-side.png")
        over = read_frame(out / f"{path.stem}.overlay.png")
        assert np.array_equal(side, np.hstack([frame, over]))
        assert np.array_equal(over[~shown], frame[~shown])
        assert not read_frame(out / f"{path.stem}.colour.png")[~shown].any()
        document = json.loads((out / f"{path.stem}.json").read_text())
        assert document["shares"][names[1]] == pytest.approx(np.mean(mask == 1))
        assert {
            each["category_id"] for each in json.loads((out / f"{path.stem}.coco.json").read_text())["annotations"]
        } <= {2, 4}


def test_shards_make_together_what_one_run_makes_and_each_picture_once(artifact, archive, tmp_path, capsys):
    one, parts = tmp_path / "one", tmp_path / "parts"
    assert predicted(artifact, tmp_path, archive, "--out", one) == 0
    seen = []
    for number in (1, 2, 3):
        capsys.readouterr()
        assert predicted(artifact, tmp_path, archive, "--shard", f"{number}/3", "--out", parts, "--json") == 0
        seen += [each["picture"] for each in json.loads(capsys.readouterr().out)]
    assert sorted(seen) == sorted(map(str, archive.glob("*.png")))
    whole = {path.name: path.read_bytes() for path in one.glob("*.png")}
    assert whole == {path.name: path.read_bytes() for path in parts.glob("*.png")}
    assert len(whole) == 21


def test_a_run_is_resumed_where_it_stopped(artifact, archive, tmp_path, capsys):
    out = tmp_path / "out"
    assert predicted(artifact, tmp_path, archive, "--out", out, "--save", "labels,coco") == 0
    whole = (out / "coco.json").read_bytes()
    for name in ("2.mask.png", "5.coco.json", "coco.json"):
        (out / name).unlink()
    before = {path: path.stat().st_mtime_ns for path in out.glob("*.*g")}
    capsys.readouterr()
    assert predicted(artifact, tmp_path, archive, "--out", out, "--save", "labels,coco", "--resume") == 0
    assert "2 pictures segmented" in (said := capsys.readouterr().out)
    assert "; 5 were done before" in said
    assert all(path.stat().st_mtime_ns == at for path, at in before.items() if path.name[0] not in "25")
    joined, first = json.loads((out / "coco.json").read_text()), json.loads(whole)
    assert sorted(each["file_name"] for each in joined["images"]) == sorted(
        each["file_name"] for each in first["images"]
    )
    assert len(joined["annotations"]) == len(first["annotations"])


def test_a_broken_picture_does_not_end_the_folder_whatever_is_saved(artifact, archive, tmp_path, capsys):
    (archive / "3.png").write_bytes(b"no picture")
    assert predicted(artifact, tmp_path, archive, "--save", "json,coco", "--out", tmp_path / "out") == 2
    assert "3.png" in capsys.readouterr().err
    assert len(json.loads((tmp_path / "out/coco.json").read_text())["images"]) == 6


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (("--save", "overlays"), "Did you mean 'overlay'?"),
        (("--save", ","), "--save names nothing"),
        (("--classes", "rood"), "unknown class 'rood'"),
        (("--shard", "0/3"), "--shard 0/3 is not I/N"),
        (("--shard", "4/3"), "--shard 4/3 is not I/N"),
        (("--shard", "half"), "--shard half is not I/N"),
    ],
)
def test_what_cannot_be_saved_or_shown_is_one_line_and_nothing_is_written(
    words, meant, artifact, archive, tmp_path, capsys
):
    assert predicted(artifact, tmp_path, archive, *words, "--out", tmp_path / "out") == 2
    error = capsys.readouterr().err
    assert (meant in error, error.count("\n")) == (True, 1), error
    assert not (tmp_path / "out").exists()


def test_a_video_has_a_video_of_each_kind_that_moves_and_says_if_none_was_asked_for(artifact, tmp_path, capsys):
    cv2 = pytest.importorskip("cv2")
    writer = cv2.VideoWriter(str(tmp_path / "a.mp4"), cv2.VideoWriter_fourcc(*"mp4v"), 10.0, (60, 40))
    for seed in range(3):
        writer.write(tiny_artifacts.frame(40, 60, seed))
    writer.release()
    out = tmp_path / "out"
    assert predicted(artifact, tmp_path, tmp_path / "a.mp4", "--save", ",".join(VIDEO_KINDS), "--out", out) == 0
    widths = {}
    for kind in VIDEO_KINDS:
        video = cv2.VideoCapture(str(out / f"a.{kind}.mp4"))
        widths[kind] = int(video.get(cv2.CAP_PROP_FRAME_WIDTH))
        video.release()
    assert widths == {"overlay": 60, "side-by-side": 120}
    assert predicted(artifact, tmp_path, tmp_path / "a.mp4", "--save", "labels", "--out", tmp_path / "none") == 2
    assert "--save labels has nothing for a video; add overlay or side-by-side" in capsys.readouterr().err


def test_results_of_threads_come_in_order_and_the_first_error_ends_the_work():
    begun = []

    def work(number):
        begun.append(number)
        if number == 5:
            raise DataError("five")
        return 2 * number

    assert list(in_order(lambda number: 2 * number, range(50), 3)) == list(range(0, 100, 2))
    found = in_order(work, itertools.count(), 2)
    assert [next(found) for _ in range(5)] == [0, 2, 4, 6, 8]
    with pytest.raises(DataError, match="five"):
        next(found)
    assert max(begun) <= 5 + 2 * 2 + 1, "it runs no further ahead than it may"
