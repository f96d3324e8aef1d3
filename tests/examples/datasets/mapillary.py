"""Mapillary Vistas' layout: classes in config.json, the last of them void."""

import json

import tiny_tree as tree


def write(root):
    frame, labels = tree.frame(), tree.labels(0, 1, 2)
    names = ("object--a", "object--b", "void--unlabeled")
    listed = [{"name": name, "readable": name, "color": [9 * k, 0, 0]} for k, name in enumerate(names)]
    root.mkdir(exist_ok=True)
    (root / "config.json").write_text(json.dumps({"labels": listed}))
    tree.save(root / "validation/images/_a.jpg", frame)
    tree.save(root / "validation/labels/_a.png", labels)
    return "mapillary", root, {"val": [(frame, labels)]}
