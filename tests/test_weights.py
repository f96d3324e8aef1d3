from pathlib import Path

import pytest

from segfast_edge.cli import main
from segfast_edge.contract.shared.images import read_labels, write_picture
from segfast_edge.data.scene import render
from segfast_edge.errors import ArtifactError
from segfast_edge.model.checkpoint import Checkpoint
from segfast_edge.weights import DEFAULT, find, shipped


@pytest.mark.parametrize("name", shipped())
def test_shipped_weights_come_with_their_card_and_log_and_the_card_gives_their_figures(name):
    path = find(Path(name))
    checkpoint = Checkpoint.load(path)
    card = path.with_suffix(".md").read_text()
    assert f"| protocol | {checkpoint.protocol} |" in card
    assert "research use only" in card
    if "trained on all frames" in card:
        measured = "| drive left out | pixel accuracy | mIoU |" in card
        assert measured is not ("| on drives left out | not measured |" in card)
        assert "on `val`" not in card
    else:
        assert card.index("| on `test`, 233 frames | ") < card.index("| on `val`, 101 frames | ")
    assert path.with_suffix(".jsonl").read_text().count("\n") >= checkpoint.provenance["epoch"]
    checkpoint.module()


def test_the_default_weights_segment_a_picture_without_being_named(tmp_path):
    frame, _ = render((7,), (120, 160))
    write_picture(tmp_path / "street.png", frame)
    assert DEFAULT in shipped()
    assert main(["predict", str(tmp_path / "street.png"), "--out", str(tmp_path / "out")]) == 0
    assert read_labels(tmp_path / "out" / "street.mask.png").shape == (120, 160)


def test_a_name_that_is_nothing_gets_the_nearest_weights():
    with pytest.raises(ArtifactError, match="Did you mean 'camvid-paper-segfast'"):
        find(Path("camvid-papr-segfast"))
