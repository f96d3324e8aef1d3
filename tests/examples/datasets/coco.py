"""COCO's layout: instances as polygons, by the numbers of their pictures and categories."""

import json

import pytest
import tiny_tree as tree

DRAWN = True


def write(root):
    pytest.importorskip("pycocotools", reason="pycocotools is an optional extra")
    frame, outline = tree.frame(), [part for corner in tree.CORNERS for part in corner]
    value = {
        "images": [{"id": 7, "file_name": "a.png", "height": 12, "width": 16}],
        "categories": [{"id": 3, "name": "car"}],
        "annotations": [{"id": 1, "image_id": 7, "category_id": 3, "segmentation": [outline], "iscrowd": 0}],
    }
    (root / "annotations").mkdir(parents=True)
    for split in ("train", "val"):
        tree.save(root / f"{split}2017/a.png", frame)
        (root / f"annotations/instances_{split}2017.json").write_text(json.dumps(value))
    return "coco", root, {"train": [(frame, tree.rectangle())], "val": [(frame, tree.rectangle())]}
