"""What a network of one's own takes and tells apart, said by options or a file, and held to torch by hand."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from runtimes import FORMATS, computed
from tiny_export import write_checkpoint

from segfast_edge.cli import main
from segfast_edge.contract.manifest import Manifest
from segfast_edge.model.checkpoint import Checkpoint

SIZE, CLASSES = (32, 48), 5
STATE = {}
ORDINARY = ("--channel-order", "RGB", "--resize-filter", "bilinear", "--class-names", "a,b,c,d,e")
# how a picture of 0 to 255 becomes the network's input, by options and by numpy
WAYS = {
    "caffe": (
        ("--value-range", "0,255", "--channel-order", "BGR", "--mean", "103.9,116.8,123.7"),
        lambda frame: frame[..., ::-1] - np.float32([103.9, 116.8, 123.7]),
    ),
    "minus one to one": (("--value-range=-1,1",), lambda frame: frame / np.float32(127.5) - 1),
    "uneven": (
        ("--mean", "0.1,0.2,0.3", "--std", "0.5,0.25,0.75", "--channel-order", "BGR"),
        lambda frame: (
            (frame[..., ::-1] / np.float32(255) - np.float32([0.1, 0.2, 0.3])) / np.float32([0.5, 0.25, 0.75])
        ),
    ),
}


@pytest.fixture(scope="module", autouse=True)
def weights(tmp_path_factory):
    """The weights that the factory below gives to every network: the same in this process each time."""
    STATE.update(Checkpoint.load(write_checkpoint(tmp_path_factory.mktemp("weights") / "a.pt")).weights)


def factory(classes):
    from tiny_export import decoder

    network = decoder(classes)
    network.load_state_dict(STATE)
    return network


def picture(seed, size=SIZE):
    return np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8)


def labels_in_torch(x):
    with torch.no_grad():
        network = factory(CLASSES).eval()
        return (
            network(torch.from_numpy(x.astype(np.float32).transpose(2, 0, 1)[np.newaxis].copy()))[0].argmax(0).numpy()
        )


def written(target, folder, *words):
    model = ["--model", "test_own_network:factory", "--size", "x".join(map(str, SIZE))]
    return main(["convert", *model, "--target", target, "-o", str(folder), *map(str, words)])


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("target", FORMATS)
def test_the_picture_reaches_the_network_as_was_said(target, way, tmp_path, capsys):
    words, by_hand = WAYS[way]
    assert written(target, tmp_path / "a", *words, "--classes", CLASSES) == 0
    said = capsys.readouterr().err
    assert "ImageNet" not in said
    assert ("assumed: channels are in the order RGB" in said) == ("--channel-order" not in words)
    expected = labels_in_torch(by_hand(picture(1)))
    assert len(np.unique(expected)) > 1
    assert np.mean(computed(tmp_path / "a", target, picture(1)) == expected) > 0.999


def test_nothing_is_assumed_in_silence_and_nothing_that_was_said_is_assumed(tmp_path, capsys):
    assert written("torchscript", tmp_path / "a", "--classes", CLASSES) == 0
    said = capsys.readouterr().err
    for words in ("ImageNet's mean 0.485", "in the order RGB", "resized bilinearly", "called by their numbers"):
        assert words in said
        assert words in json.dumps(json.loads((tmp_path / "a/manifest.json").read_text())["provenance"]["assumed"])
    assert written("torchscript", tmp_path / "b", "--mean", "0.5", "--std", "0.5", *ORDINARY) == 0
    assert "assumed" not in capsys.readouterr().err


def test_a_file_says_the_same_as_options_and_options_come_first(tmp_path, capsys):
    (tmp_path / "names.txt").write_text("road\nside walk\ncar\nsky\ntree\n")
    (tmp_path / "own.toml").write_text(
        'size = "40x56"\nmean = [0.1, 0.2, 0.3]\nstd = [0.5, 0.25, 0.75]\nchannel_order = "BGR"\n'
        'resize_filter = "area"\nclass_names = ["road", "side walk", "car", "sky", "tree"]\n'
        'palette = ["#804080", "#0000ff", "#010203", "#ffffff", "#000000"]\n'
    )
    assert written("torchscript", tmp_path / "a", "--config", tmp_path / "own.toml") == 0
    options = ("--mean", "0.1,0.2,0.3", "--std", "0.5,0.25,0.75", "--channel-order", "BGR", "--resize-filter", "area")
    palette = "#804080,#0000ff,#010203,ffffff,000000"
    words = (*options, "--class-names", tmp_path / "names.txt", "--palette", palette)
    assert written("torchscript", tmp_path / "b", *words) == 0
    first, second = (Manifest.load(tmp_path / name) for name in "ab")
    assert first.preprocess == second.preprocess
    assert first.preprocess.size == SIZE
    assert (first.preprocess.filter, first.preprocess.channel_order) == ("area", "BGR")
    assert first.classes == second.classes
    assert first.classes.names == ("road", "side walk", "car", "sky", "tree")
    assert first.classes.palette[:3] == ((128, 64, 128), (0, 0, 255), (1, 2, 3))


def test_the_runner_resizes_and_paints_as_was_said(tmp_path):
    palette = "#102030,#405060,#708090,#a0b0c0,#d0e0f0"
    words = ("--value-range", "0,1", "--resize-filter", "area", "--classes", CLASSES, "--palette", palette)
    assert written("onnx", tmp_path / "a", *words) == 0
    large = picture(2, (64, 96))
    Image.fromarray(large).save(tmp_path / "frame.png")
    words = ["--model", str(tmp_path / "a"), "--out", str(tmp_path / "p")]
    assert main(["predict", str(tmp_path / "frame.png"), *words]) == 0
    mean_of_four = large.reshape(32, 2, 48, 2, 3).astype(np.float64).mean((1, 3))
    expected = labels_in_torch(np.floor(mean_of_four + 0.5) / 255)
    (mask,) = [path for path in (tmp_path / "p").rglob("*.png") if "mask" in str(path)]
    found = np.asarray(Image.open(mask))[::2, ::2]
    assert np.mean(found == expected) > 0.995
    colours = {tuple(bytes.fromhex(each[1:])) for each in palette.split(",")}
    (coloured,) = [path for path in (tmp_path / "p").rglob("*.png") if "colour" in str(path)]
    assert {tuple(each) for each in np.asarray(Image.open(coloured).convert("RGB")).reshape(-1, 3).tolist()} <= colours


def test_int8_calibrates_on_what_the_network_takes(tmp_path):
    (tmp_path / "frames").mkdir()
    for seed in range(4):
        Image.fromarray(picture(seed)).save(tmp_path / f"frames/{seed}.png")
    words = (*WAYS["caffe"][0], "--classes", CLASSES, "--int8", "--calibration", tmp_path / "frames")
    assert written("tflite", tmp_path / "a", *words, "--min-agreement", "0.8") == 0
    expected = labels_in_torch(WAYS["caffe"][1](picture(1)))
    assert np.mean(computed(tmp_path / "a", "tflite", picture(1)) == expected) > 0.8


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--mean", "0.1,0.2"), "--mean 0.1,0.2 has 2 numbers; expected 3"),
        (("--std", "a,b,c"), "--std a,b,c is not 3 numbers"),
        (("--std", "0,1,1"), "std above zero"),
        (("--value-range", "1,0"), "--value-range 1,0 is empty"),
        (("--channel-order", "GBR"), "channel order 'GBR' is unknown; allowed: RGB, BGR"),
        (("--resize-filter", "cubic"), "resize filter 'cubic' is unknown"),
        (("--class-names", "a,b"), "--class-names has 2 names, and --classes says 5"),
        (("--palette", "#12345"), "--palette: '#12345' is no colour"),
        (("--palette", "#123456"), "1 colours for 5 classes"),
        (("--config", "none.toml"), "--config none.toml cannot be read"),
        (("--config", "bad.toml"), "unknown name 'means'. Did you mean 'mean'?"),
    ],
)
def test_what_was_said_wrongly_is_refused_in_one_line(words, says, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad.toml").write_text("means = 1\n")
    assert written("torchscript", tmp_path / "a", *words, "--classes", CLASSES) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert says in line
    assert not (tmp_path / "a").exists()
