"""labelme's layout: a JSON file of shapes beside each picture."""

import json

import tiny_tree as tree

DRAWN = True


def write(root):
    frame = tree.frame()
    shape = {"label": "car", "shape_type": "polygon", "points": tree.CORNERS}
    for split in ("train", "val"):
        tree.save(root / f"{split}/a.png", frame)
        value = {"shapes": [shape], "imagePath": "a.png", "imageHeight": 12, "imageWidth": 16}
        (root / f"{split}/a.json").write_text(json.dumps(value))
    return "labelme", root, {"train": [(frame, tree.rectangle())], "val": [(frame, tree.rectangle())]}
