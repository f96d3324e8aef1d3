"""A checkpoint comes back as it was saved, and anything else is refused in one line."""

import os
import pickle
import subprocess
import sys

import pytest
import torch

from segfast_edge.contract.classes import ClassSet
from segfast_edge.contract.preprocess import Preprocess
from segfast_edge.errors import ArtifactError, SegfastError
from segfast_edge.model import build
from segfast_edge.model.checkpoint import KIND, VERSION, Checkpoint

CLASSES = ClassSet(("road", "car", "sky"), ((1, 2, 3), (4, 5, 6), (7, 8, 9)))


def example(**changes):
    values = {
        "network": "segfast",
        "classes": CLASSES,
        "preprocess": Preprocess(48, 64, "area"),
        "protocol": "paper: 48x64",
        "weights": build("segfast", 3).state_dict(),
        "provenance": {"seed": 7},
    }
    return Checkpoint(**{**values, **changes})


def refusal(path):
    with pytest.raises(ArtifactError) as caught:
        Checkpoint.load(path)
    message = str(caught.value)
    assert str(path) in message
    assert "\n" not in message
    return message


def test_everything_comes_back_and_the_network_computes_the_same(tmp_path):
    network = build("segfast", 3)
    network(torch.randn(2, 3, 32, 32))  # moves the running statistics, which must travel too
    example(weights=network.state_dict()).save(tmp_path / "new" / "a.ckpt")
    back = Checkpoint.load(tmp_path / "new" / "a.ckpt")
    assert (back.network, back.classes, back.preprocess) == ("segfast", CLASSES, Preprocess(48, 64, "area"))
    assert (back.protocol, back.provenance) == ("paper: 48x64", {"seed": 7})
    module, frame = back.module(), torch.randn(1, 3, 37, 53)
    assert not module.training
    assert torch.equal(module(frame), network.eval()(frame))


def test_the_same_weights_give_the_same_bytes_under_any_name(tmp_path):
    checkpoint = example()
    checkpoint.save(tmp_path / "a.ckpt")
    checkpoint.save(tmp_path / "other.pt")
    assert (tmp_path / "a.ckpt").read_bytes() == (tmp_path / "other.pt").read_bytes()


@pytest.mark.parametrize("kept", [0, 1, 1000, 0.5, 0.999])
def test_a_truncated_file_is_refused(tmp_path, kept):
    path = tmp_path / "a.ckpt"
    example().save(path)
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content)) if isinstance(kept, float) else kept])
    assert "truncated" in refusal(path)


def test_a_changed_weight_is_refused(tmp_path):
    path = tmp_path / "a.ckpt"
    example().save(path)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    assert "does not match its checksum" in refusal(path)


class _Attack:
    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return os.mkdir, (str(self.mark),)


def test_code_in_a_file_is_never_executed(tmp_path):
    path, mark = tmp_path / "a.ckpt", tmp_path / "executed"
    torch.save({"kind": KIND, "version": VERSION, "weights": _Attack(mark)}, path)
    assert "not a segfast-edge checkpoint" in refusal(path)
    path.write_bytes(pickle.dumps(_Attack(mark)))
    assert "not a segfast-edge checkpoint" in refusal(path)
    assert not mark.exists()


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ({"layer.weight": torch.zeros(2)}, "not a segfast-edge checkpoint"),
        ([1, 2], "not a segfast-edge checkpoint"),
        ({"kind": KIND, "version": VERSION + 1}, f"has checkpoint version {VERSION + 1}"),
        ({"kind": KIND, "version": VERSION}, "KeyError 'network'"),
    ],
    ids=["a bare state dict", "a list", "a later version", "a field missing"],
)
def test_what_is_not_ours_is_refused(tmp_path, value, says):
    path = tmp_path / "a.ckpt"
    torch.save(value, path)
    assert says in refusal(path)


def test_weights_must_be_tensors(tmp_path):
    path = tmp_path / "a.ckpt"
    example().save(path)
    value = torch.load(path, weights_only=True)
    value["weights"]["classifier.bias"] = [0.0]
    torch.save(value, path)
    assert "weight classifier.bias is a list" in refusal(path)


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    assert "no such checkpoint" in refusal(tmp_path / "a.ckpt")
    assert "no such checkpoint" in refusal(tmp_path)


def test_weights_of_another_class_count_are_refused():
    other = example(weights=build("segfast", 5).state_dict())
    with pytest.raises(ArtifactError, match=r"with 3 classes: classifier.weight is 5x64x1x1 .* and 3x64x1x1"):
        other.module()


def test_weights_of_another_network_are_refused():
    with pytest.raises(ArtifactError, match="do not fit segfast_basic"):
        example(network="segfast_basic").module()
    with pytest.raises(SegfastError, match="Did you mean 'segfast'"):
        example(network="segfats").module()


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ArtifactError, match="cannot write"):
        example().save(tmp_path / "file" / "a.ckpt")


FULL_DISK = """
import resource, signal, sys
from pathlib import Path
from segfast_edge.errors import ArtifactError
from segfast_edge.model.checkpoint import Checkpoint
checkpoint = Checkpoint.load(Path(sys.argv[1]))
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    checkpoint.save(Path(sys.argv[1]))
except ArtifactError as error:
    sys.exit(str(error))
"""


def test_when_space_runs_out_the_old_file_stays_and_nothing_else(tmp_path):
    path = tmp_path / "a.ckpt"
    example().save(path)
    before = path.read_bytes()
    done = subprocess.run([sys.executable, "-c", FULL_DISK, str(path)], capture_output=True, text=True)
    assert done.stderr == f"cannot write {path}: File too large\n"
    assert done.returncode == 1
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
