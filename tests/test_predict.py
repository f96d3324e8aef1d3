import io
import itertools
import json
import os
import subprocess
import sys

import numpy as np
import pytest
import tiny_artifacts
from PIL import Image

from segfast_edge.cli import _progress, main
from segfast_edge.contract.overlay import colour_mask, overlay
from segfast_edge.contract.shared.images import read_frame, read_labels, write_picture
from segfast_edge.errors import ArtifactError, DataError
from segfast_edge.prediction.predict import PredictionOutput, free_folder, plan, predict
from segfast_edge.prediction.predictor import open_predictor


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
    return list(predict(predictor, planned(inputs), PredictionOutput(out, opacity)))


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
        PredictionOutput(tmp_path, 1.5)


def test_an_output_folder_that_cannot_be_made_is_one_line(artifact, tmp_path, capsys):
    path = picture(tmp_path / "a.png")
    assert main(["predict", str(path), "--model", str(artifact), "--out", str(path / "out")]) == 2
    error = capsys.readouterr().err
    assert error.startswith("segfast-edge: cannot write")
    assert error.count("\n") == 1
