"""int8 of a network without labels: held to the float network on the calibration frames, with a floor."""

import json

import foreign_networks
import numpy as np
import pytest
import torch
from runtimes import computed
from test_proof import CLASSES, SIZE, convert, normalised

from segfast_edge.contract.shared.images import write_picture
from segfast_edge.data.scene import render

FRAMES = 5


@pytest.fixture(scope="module")
def frames(tmp_path_factory):
    """A folder of pictures of the network's size, and the pictures."""
    folder = tmp_path_factory.mktemp("frames")
    pictures = [render((31, seed), SIZE)[0] for seed in range(FRAMES)]
    for number, frame in enumerate(pictures):
        write_picture(folder / f"{number}.png", frame)
    return folder, pictures


def share_alike(name, folder, pictures):
    """Return the share of pixels that torch's untouched network and the runtime label alike."""
    network = getattr(foreign_networks, name)(CLASSES)
    with torch.no_grad():
        expected = [network(normalised(frame))[0].argmax(0).numpy() for frame in pictures]
    return np.mean(
        [computed(folder, "tflite", frame) == labels for frame, labels in zip(pictures, expected, strict=True)]
    )


def test_the_agreement_on_the_calibration_frames_is_recorded(frames, tmp_path):
    folder, pictures = frames
    words = ("--int8", "--calibration", str(folder), "--min-agreement", "0.5")
    assert convert("several_folds", "tflite", tmp_path / "a", *words) == 0
    record = json.loads((tmp_path / "a" / "manifest.json").read_text())["parity"]["calibration_agreement"]
    assert (record["frames"], record["min_agreement"]) == (FRAMES, 0.5)
    assert record["label_agreement"] == pytest.approx(share_alike("several_folds", tmp_path / "a", pictures), abs=0.002)


def test_norms_and_attention_stay_in_float_and_the_labels_near(frames, tmp_path):
    folder, pictures = frames
    assert (
        convert("words", "tflite", tmp_path / "a", "--int8", "--calibration", str(folder), "--min-agreement", "0.9")
        == 0
    )
    assert share_alike("words", tmp_path / "a", pictures) > 0.9


def test_a_network_that_int8_ruins_is_refused_with_both_shares_and_leaves_nothing(frames, tmp_path, capsys):
    folder, _ = frames
    words = ("--int8", "--calibration", str(folder))
    assert convert("uneven_channels", "tflite", tmp_path / "a", *words) == 4
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert "on 5 calibration frames" in line
    assert "at least 95.00% are needed" in line
    assert not (tmp_path / "a").exists()


def test_a_search_keeps_what_int8_ruins_in_float(frames, tmp_path):
    folder, pictures = frames
    words = ("--int8", "--calibration", str(folder), "--search")
    assert convert("uneven_channels", "tflite", tmp_path / "a", *words) == 0
    parity = json.loads((tmp_path / "a" / "manifest.json").read_text())["parity"]
    assert parity["kept_float"]
    assert share_alike("uneven_channels", tmp_path / "a", pictures) >= 0.95


@pytest.mark.parametrize(("words", "status"), [((), 1), (("--best-effort",), 0)])
def test_of_several_formats_each_is_tried_and_what_succeeded_stays(words, status, tmp_path, capsys):
    assert convert("summed", "tflite,torchscript", tmp_path / "a", "--json", *words) == status
    made, missing = json.loads(capsys.readouterr().out)
    assert made["artifact"] == str(tmp_path / "a" / "torchscript")
    assert missing["format"] == "tflite"
    assert "cumsum is not covered" in missing["error"]
    assert [path.name for path in (tmp_path / "a").iterdir() if path.is_dir()] == ["torchscript"]


def test_a_table_says_why_a_format_was_not_written(tmp_path, capsys):
    assert convert("summed", "tflite,torchscript", tmp_path / "a") == 1
    shown = capsys.readouterr().out
    assert "not written" in shown
    assert "cumsum" in shown


def test_a_network_that_no_format_can_have_is_refused_once(tmp_path, capsys):
    assert convert("deciding", "tflite,torchscript", tmp_path / "a") == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert "reads a value that depends on the input" in line
