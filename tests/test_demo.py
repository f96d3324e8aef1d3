import re

import pytest

from segfast_edge.cli import main
from segfast_edge.contract.formats import format_names
from segfast_edge.contract.manifest import Manifest


@pytest.mark.slow
def test_the_demo_writes_one_page_that_needs_nothing_else(tmp_path, capsys):
    out = tmp_path / "demo"
    arguments = ["demo", "--out", str(out), "--epochs", "1", "--frames", "8", "--val-frames", "2", "--threads", "1"]
    assert main(arguments) == 0
    page = (out / "index.html").read_text()
    assert "http://" not in page.replace("http://www.w3.org/", "")
    assert "https://" not in page
    assert "<script" not in page
    for name in format_names():
        assert re.search(rf"<t[hd][^>]*>{name}</t[hd]>", page)
        assert Manifest.load(out / name).parity["label_agreement"] > 0.999
    assert page.count("data:image/webp") == 2 * 4 + 1  # two frames in four views, and the curves
    assert str(out.resolve() / "index.html") in capsys.readouterr().out


def test_a_folder_with_something_else_in_it_is_left_alone(tmp_path, capsys):
    (tmp_path / "onnx").mkdir()
    assert main(["demo", "--out", str(tmp_path)]) == 2
    assert "something other than a demo" in capsys.readouterr().err
    assert [p.name for p in tmp_path.iterdir()] == ["onnx"]
