"""The page of an evaluation, read back as a browser would: which pictures, which pixels are red, which filters."""

import base64
import io
import json
import re

import numpy as np
import pytest
import tiny_artifacts
from PIL import Image

from segfast_edge.cli import main
from segfast_edge.contract.shared.images import write_picture
from segfast_edge.data import open_source

NAMES = ["road", "car", "sky", "tree", "person"]
WRONG = {3: (slice(0, 8), slice(0, 12)), 1: (slice(0, 4), slice(0, 6))}  # worst first


@pytest.fixture
def labelled(tmp_path):
    """Five pictures whose labels the tiny network gives, except for a block of two of them."""
    root = tmp_path / "data"
    (root / "images/val").mkdir(parents=True)
    (root / "labels/val").mkdir(parents=True)
    (root / "classes.json").write_text(json.dumps({"names": NAMES, "ignored": 255}))
    for seed in range(5):
        frame = tiny_artifacts.frame(tiny_artifacts.HEIGHT, tiny_artifacts.WIDTH, seed)
        labels = tiny_artifacts.expected(frame[np.newaxis])[0]
        if seed in WRONG:
            labels[WRONG[seed]] = (labels[WRONG[seed]] + 1) % 5
        labels[-2:] = 255
        write_picture(root / f"images/val/{seed}.png", frame)
        write_picture(root / f"labels/val/{seed}.png", labels)
    return root


def evaluated(labelled, tmp_path, *words):
    artifact = tiny_artifacts.write_artifact(tmp_path / "model", "onnx")
    return main(["evaluate", str(artifact), "--data-root", str(labelled), "--protocol", "standard", *words])


def pictures(text):
    """Return each row's heading and its pictures as arrays."""
    rows = re.findall(r'<div class="row[^"]*">\s*<h3>(.*?)</h3>(.*?)</figure>\s*</div>', text, re.S)
    return [
        (heading, [_decoded(uri) for uri in re.findall(r'src="data:image/webp;base64,(.*?)"', row)])
        for heading, row in rows
    ]


def _decoded(text):
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(text))).convert("RGB")).astype(int)


def red(pixels):
    return (pixels[..., 0] > 150) & (pixels[..., 1] < 110) & (pixels[..., 2] < 110)


def test_the_worst_picture_comes_first_and_what_is_wrong_in_it_is_red(labelled, tmp_path):
    assert evaluated(labelled, tmp_path, "--page", str(tmp_path / "page.html")) == 0
    rows = pictures((tmp_path / "page.html").read_text())
    assert [heading.split(":")[0] for heading, _ in rows[:2]] == ["1. 3", "2. 1"]
    assert len(rows) == 5
    for (_, shown), where in zip(rows[:2], WRONG.values(), strict=True):
        marked = red(shown[3])
        assert marked[where].mean() > 0.7  # the picture is compressed, and its edges with it
        marked[where] = False
        assert marked.mean() < 0.02
        assert shown[3][-1].max() < 90, "what does not count is nearly black"
    assert not any(red(shown[3]).any() for _, shown in rows[2:])


def test_a_filter_leaves_the_pictures_that_a_confusion_occurs_in(labelled, tmp_path):
    assert evaluated(labelled, tmp_path, "--page", str(tmp_path / "page.html")) == 0
    text = (tmp_path / "page.html").read_text()
    filters = re.findall(r'<label for="c\d+">(\w+) taken for (\w+) \(([\d.]+)% of \w+\)</label>', text)
    assert all(NAMES[(NAMES.index(guess) + 1) % 5] == true for true, guess, _ in filters)
    rows = re.findall(r'<div class="row([^"]*)">\s*<h3>\d+\. (\d)', text)
    assert {name for classes, name in rows if classes.strip()} == {"3", "1"}
    assert "<script" not in text
    assert not re.search(r'(src|href)="(?!data:)', text)


def test_a_second_network_stands_beside_and_agrees_with_itself(labelled, tmp_path):
    words = ("--page", str(tmp_path / "page.html"), "--beside", str(tmp_path / "model"))
    assert evaluated(labelled, tmp_path, *words) == 0
    rows = pictures((tmp_path / "page.html").read_text())
    assert all("both agree on 100.00%" in heading for heading, _ in rows)
    assert all(len(shown) == 6 and np.array_equal(shown[2], shown[4]) for _, shown in rows)


def test_the_ranked_list_is_a_split_to_train_on(labelled, tmp_path):
    assert evaluated(labelled, tmp_path, "--ranked", str(tmp_path / "worst.txt")) == 0
    lines = (tmp_path / "worst.txt").read_text().splitlines()
    assert (lines[:2], sorted(lines)) == (["3", "1"], ["0", "1", "2", "3", "4"])
    (tmp_path / "two.txt").write_text("\n".join(lines[:2]))
    dataset = open_source(f"folder:train={tmp_path / 'two.txt'}", labelled).open("train")
    assert sorted(dataset[index].name for index in range(len(dataset))) == ["1", "3"]


def test_a_second_network_without_a_page_is_refused(labelled, tmp_path, capsys):
    assert evaluated(labelled, tmp_path, "--beside", str(tmp_path / "model")) == 2
    assert capsys.readouterr().err == "segfast-edge: --beside is for the page; add --page FILE\n"
