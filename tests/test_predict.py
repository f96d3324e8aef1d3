import numpy as np
import pytest
import tiny_artifacts
from PIL import Image

from segfast_edge.cli import main
from segfast_edge.contract.overlay import colour_mask, overlay
from segfast_edge.contract.shared.images import read_frame, read_labels, write_picture
from segfast_edge.errors import ArtifactError, DataError
from segfast_edge.prediction.predict import Style, free_folder, plan, predict
from segfast_edge.prediction.predictor import open_predictor


def silent(done, total):
    pass


@pytest.fixture(scope="module")
def artifact(tmp_path_factory):
    return tiny_artifacts.write_artifact(tmp_path_factory.mktemp("artifact") / "model", "onnx")


def picture(path, size=(tiny_artifacts.HEIGHT, tiny_artifacts.WIDTH), seed=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    write_picture(path, tiny_artifacts.frame(*size, seed))
    return path


def planned(inputs, **style):
    return plan(inputs, Style(**style), silent)


def written(inputs, out, predictor, **style):
    jobs = planned(inputs, **style)
    return list(predict(predictor, jobs, out, style=Style(**style)))


def test_three_pictures_at_the_frames_size_whose_mask_is_the_networks(artifact, tmp_path):
    frame = read_frame(picture(tmp_path / "a.png"))
    predictor = open_predictor(artifact)
    (done,) = written([tmp_path / "a.png"], tmp_path / "out", predictor, opacity=0.25)
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


@pytest.mark.parametrize("mode", ["L", "RGBA", "CMYK", "I;16"])
def test_other_modes_are_refused_before_anything_is_written_and_converted_when_asked(artifact, tmp_path, mode):
    picture(tmp_path / "1.png")
    path = tmp_path / ("2.tif" if mode == "CMYK" else "2.png")
    (Image.new("I;16", (48, 32), 30000) if mode == "I;16" else Image.new(mode, (48, 32))).save(path)
    words = ["predict", str(tmp_path / "1.png"), str(path), "--model", str(artifact), "--out", str(tmp_path / "out")]
    assert main(words) == 2
    assert not (tmp_path / "out").exists()
    assert main([*words, "--convert-rgb"]) == 0
    assert len(list((tmp_path / "out").iterdir())) == 6


def test_every_input_is_checked_before_anything_is_written(artifact, tmp_path):
    good = picture(tmp_path / "good.png")
    (tmp_path / "broken.png").write_bytes(good.read_bytes()[:200])
    for bad, message in ((tmp_path / "broken.png", "not a readable image"), (tmp_path / "gone.png", "no such image")):
        with pytest.raises(DataError, match=message):
            planned([good, bad])
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no picture in"):
        planned([tmp_path / "empty"])
    assert not (tmp_path / "out").exists()


def test_predicting_again_writes_into_numbered_folders_and_changes_nothing(artifact, tmp_path, capsys):
    path, out = picture(tmp_path / "a.png"), tmp_path / "out"
    words = ["predict", str(path), "--model", str(artifact), "--out", str(out)]
    for folder in ("out", "out2", "out3"):
        before = {each: each.read_bytes() for each in sorted(tmp_path.rglob("*.png"))}
        assert main([*words, "--opacity", "0.3" if folder == "out" else "0.8"]) == 0
        assert f"of each in {tmp_path / folder}\n" in capsys.readouterr().out
        assert sorted(each.name for each in (tmp_path / folder).iterdir()) == [
            "a.colour.png",
            "a.mask.png",
            "a.overlay.png",
        ]
        assert all(each.read_bytes() == data for each, data in before.items())
    assert main(["predict", str(picture(tmp_path / "b.png")), *words[2:]]) == 0  # nothing of b is in out yet
    assert len(list(out.iterdir())) == 6
    assert main([*words, "--opacity", "0.8", "--overwrite"]) == 0
    assert (out / "a.overlay.png").read_bytes() == (tmp_path / "out2/a.overlay.png").read_bytes()
    assert not (tmp_path / "out4").exists()


def test_an_output_folder_that_is_a_file_is_refused(tmp_path):
    with pytest.raises(ArtifactError, match="is a file"):
        free_folder(picture(tmp_path / "a.png"), [])
    with pytest.raises(DataError, match=r"--opacity 1\.5"):
        Style(opacity=1.5)


def test_an_output_folder_that_cannot_be_made_is_one_line(artifact, tmp_path, capsys):
    path = picture(tmp_path / "a.png")
    assert main(["predict", str(path), "--model", str(artifact), "--out", str(path / "out")]) == 2
    error = capsys.readouterr().err
    assert error.startswith("segfast-edge: cannot write")
    assert error.count("\n") == 1
