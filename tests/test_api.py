"""``import segfast_edge as sf``: held to the verbs of the same names and to numpy."""

import io
import json
import subprocess
import sys

import numpy as np
import pytest
import tiny_artifacts
from PIL import Image

import segfast_edge as sf
from segfast_edge.cli import main
from segfast_edge.contract.shared.images import read_frame, read_labels, write_picture

SIZE = (tiny_artifacts.HEIGHT, tiny_artifacts.WIDTH)


@pytest.fixture(scope="module")
def artifact(tmp_path_factory):
    return tiny_artifacts.write_artifact(tmp_path_factory.mktemp("artifact") / "model", "onnx")


@pytest.fixture(scope="module")
def model(artifact):
    return sf.load(artifact)


def labels_of(frame):
    return tiny_artifacts.expected(frame[np.newaxis])[0]


def test_importing_the_package_brings_in_nothing_and_using_an_artifact_no_torch(artifact, tmp_path):
    write_picture(tmp_path / "a.png", tiny_artifacts.frame(*SIZE))
    code = (
        "import sys; before = set(sys.modules); import segfast_edge as sf;"
        "heavy = {each.partition('.')[0] for each in set(sys.modules) - before};"
        "assert heavy <= {'segfast_edge', 'importlib', 'typing', 'warnings'} | set(sys.stdlib_module_names), heavy;"
        "assert not {'numpy', 'PIL', 'argparse', 'subprocess'} & (set(sys.modules) - before);"
        "result = sf.load(sys.argv[1]).predict(sys.argv[2]);"
        "assert 'torch' not in sys.modules; print(result.labels.shape)"
    )
    command = [sys.executable, "-c", code, str(artifact), str(tmp_path / "a.png")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{SIZE}\n"


def test_every_kind_of_picture_gives_the_same_labels(model, tmp_path):
    torch = pytest.importorskip("torch")
    frame = tiny_artifacts.frame(*SIZE)
    path = tmp_path / "a.png"
    write_picture(path, frame)
    tensor = torch.from_numpy(frame).permute(2, 0, 1)
    for source in (path, str(path), frame, Image.fromarray(frame), tensor, tensor.float() / 255):
        result = model.predict(source)
        assert np.array_equal(result.labels, labels_of(frame)), type(source)
        assert np.array_equal(result.frame, frame)
    grey = frame[:, :, 0]
    for source in (grey, Image.fromarray(grey)):
        assert np.array_equal(model.predict(source).labels, labels_of(np.repeat(grey[:, :, np.newaxis], 3, 2)))


def test_several_pictures_give_a_list_in_order_and_a_stream_gives_them_one_by_one(model, tmp_path):
    frames = [tiny_artifacts.frame(*SIZE, seed) for seed in range(4)]
    for number, frame in enumerate(frames):
        write_picture(tmp_path / f"{number}.png", frame)
    paths = sorted(tmp_path.glob("*.png"))
    for source in (tmp_path, f"{tmp_path}/*.png", paths, frames):
        results = model.predict(source)
        assert len(results) == 4
        assert all(np.array_equal(each.labels, labels_of(f)) for each, f in zip(results, frames, strict=True))
    taken = model.predict(tmp_path, stream=True)
    assert next(taken).source == str(paths[0])
    taken.close()
    assert isinstance(model.predict([paths[0]]), list)


def test_a_video_gives_a_result_for_every_frame(model, tmp_path):
    cv2 = pytest.importorskip("cv2")
    writer = cv2.VideoWriter(str(tmp_path / "drive.avi"), cv2.VideoWriter_fourcc(*"MJPG"), 10, SIZE[::-1])
    for seed in range(5):
        writer.write(np.ascontiguousarray(tiny_artifacts.frame(*SIZE, seed)[:, :, ::-1]))
    writer.release()
    results = list(model.predict(tmp_path / "drive.avi", stream=True))
    assert len(results) == 5
    assert all(np.array_equal(each.labels, labels_of(each.frame)) for each in results)


def test_a_result_has_what_the_verb_writes(model, artifact, tmp_path, capsys):
    frame = tiny_artifacts.frame(41, 67)
    write_picture(tmp_path / "a.png", frame)
    result = model.predict(tmp_path / "a.png")
    written = result.save(tmp_path / "api")
    assert (
        main(["predict", str(tmp_path / "a.png"), "--model", str(artifact), "--out", str(tmp_path / "verb"), "--json"])
        == 0
    )
    (told,) = json.loads(capsys.readouterr().out)
    for kind, path in written.items():
        with Image.open(path) as mine, Image.open(tmp_path / f"verb/a.{kind}.png") as verbs:
            assert mine.mode == verbs.mode
            assert mine.tobytes() == verbs.tobytes()
    assert result.shares == told["shares"] == result.to_dict()["shares"]
    assert np.array_equal(read_labels(written["mask"]), result.labels)
    assert np.array_equal(read_frame(written["colour"]), result.colour())
    assert np.array_equal(np.array(Image.open(io.BytesIO(result._repr_png_()))), result.overlay())


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("nowhere.png", "no such image"),
        (7, "cannot predict on a value of type int"),
        (np.zeros((4, 4, 2), np.uint8), "expected uint8"),
    ],
)
def test_what_is_no_picture_is_an_error_that_says_so(model, source, message):
    with pytest.raises(sf.SegfastError, match=message):
        model.predict(source)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_network_of_ones_own_goes_from_training_to_a_profile(tmp_path):
    data, run = "scenes:size=32x48,train=4,val=2", tmp_path / "run"
    outcome = sf.train(run, model="tiny_networks:plain", data=data, size=(32, 48), epochs=1, batch_size=2, lr=0.01)
    assert outcome.epochs == 1
    found = sf.evaluate(run / "best.pt", data)
    assert found.matrix.miou == pytest.approx(outcome.best_miou, abs=1e-6)
    made = sf.convert(run / "best.pt", "onnx", tmp_path / "onnx")
    assert made.manifest.format == "onnx"
    assert sf.evaluate(made.load(), data).frames == 2
    report = sf.profile(made, num_runs=10, min_secs=0.01)
    assert len(report.latency.samples_ms) >= 10
    assert sf.bundle(made, "x86", tmp_path / "car.tar.gz").stat().st_size > 1000


def test_names_that_do_not_exist_get_the_nearest(artifact, tmp_path):
    with pytest.raises(sf.SegfastError, match="Did you mean 'epochs'"):
        sf.train(tmp_path / "run", epoch=1)
    with pytest.raises(sf.SegfastError, match="Did you mean 'threads'"):
        sf.profile(artifact, thread=1)
    with pytest.raises(AttributeError, match="no attribute 'laod'"):
        _ = sf.laod
    with pytest.raises(sf.SegfastError, match="needs classes=N"):
        sf.load("tiny_networks:plain")
    assert (
        sf.load("tiny_networks:plain", classes=3, size=(32, 48)).predict(tiny_artifacts.frame(32, 48)).labels.max() < 3
    )
    assert {"load", "train", "benchmark"} <= {*dir(sf)}
