"""CVAT's layout: one rectangle as a polygon in annotations.xml."""

import tiny_tree as tree

DRAWN = True


def write(root):
    frame = tree.frame()
    points = ";".join(f"{x},{y}" for x, y in tree.CORNERS)
    pictures = "".join(
        f'<image id="{n}" name="{n}.png" subset="{s}" width="16" height="12">'
        f'<polygon label="car" points="{points}" z_order="0"/></image>'
        for n, s in enumerate(("Train", "Val"))
    )
    labels = "<meta><task><labels><label><name>car</name><color>#ff0000</color></label></labels></task></meta>"
    for number in (0, 1):
        tree.save(root / f"images/{number}.png", frame)
    (root / "annotations.xml").write_text(f"<annotations>{labels}{pictures}</annotations>")
    return "cvat", root, {"train": [(frame, tree.rectangle())], "val": [(frame, tree.rectangle())]}
