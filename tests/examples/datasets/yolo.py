"""YOLO's layout: polygons as shares of width and height, and names in data.yaml."""

import pytest
import tiny_tree as tree

DRAWN = True


def write(root):
    pytest.importorskip("yaml", reason="PyYAML is an optional extra")
    frame = tree.frame()
    line = " ".join(["0", *(f"{x / 16} {y / 12}" for x, y in tree.CORNERS)])
    for split in ("train", "val"):
        tree.save(root / f"images/{split}/a.png", frame)
        (root / f"labels/{split}").mkdir(parents=True)
        (root / f"labels/{split}/a.txt").write_text(f"{line}\n")
    (root / "data.yaml").write_text("names:\n  0: car\n")
    return "yolo", root, {"train": [(frame, tree.rectangle())], "val": [(frame, tree.rectangle())]}
