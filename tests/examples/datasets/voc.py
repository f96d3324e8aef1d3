"""Pascal VOC's layout: palette files whose index 255 is the border of objects, and lists of names."""

import tiny_tree as tree
from PIL import Image

AEROPLANE, BICYCLE = (128, 0, 0), (0, 128, 0)


def write(root):
    frame, labels = tree.frame(), tree.labels(0, 1, 2, 255)
    palette = [0] * 768
    palette[3:9] = [*AEROPLANE, *BICYCLE]
    palette[765:] = [224, 224, 192]
    tree.save(root / "JPEGImages/2007_000032.jpg", frame)
    picture = Image.fromarray(labels)
    picture.putpalette(palette)
    (root / "SegmentationClass").mkdir()
    picture.save(root / "SegmentationClass/2007_000032.png")
    lists = root / "ImageSets/Segmentation"
    lists.mkdir(parents=True)
    (lists / "val.txt").write_text("2007_000032\n")
    return "voc", root, {"val": [(frame, labels)]}
