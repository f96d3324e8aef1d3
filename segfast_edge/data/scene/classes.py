"""The classes of a drawn scene, in CamVid's order and colours, and their ids by name."""

from segfast_edge.data.camvid_classes import CLASSES

SKY, BUILDING, POLE, ROAD, PAVEMENT, TREE, SIGN, FENCE, CAR, PEDESTRIAN, BICYCLIST = range(len(CLASSES))
VOID = len(CLASSES)
