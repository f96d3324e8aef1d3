import importlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from segfast_edge.contract.classes import ClassSet, distinct_palette
from segfast_edge.errors import DataError
from segfast_edge.prediction.metrics import BoundaryScore, ConfusionMatrix, interval, summary


def classes(count, ignored=None):
    return ClassSet(tuple(f"c{i}" for i in range(count)), distinct_palette(count), ignored)


def test_figures_of_a_case_counted_by_hand():
    matrix = ConfusionMatrix(classes(3))
    matrix.update(np.array([[0, 0, 1], [1, 2, 2]], np.uint8), np.array([[0, 1, 1], [1, 2, 0]], np.uint8))
    assert matrix.counts.tolist() == [[1, 1, 0], [0, 2, 0], [1, 0, 1]]
    assert matrix.pixel_accuracy == pytest.approx(4 / 6)
    assert matrix.iou == pytest.approx([1 / 3, 2 / 3, 1 / 2])
    assert matrix.miou == pytest.approx(0.5)


def test_frames_add_up_to_one_matrix_not_to_a_mean_of_frames():
    both, first, second = (ConfusionMatrix(classes(2)) for _ in range(3))
    pairs = [(np.zeros((2, 2), np.uint8), np.ones((2, 2), np.uint8)), (np.zeros((8, 8), np.uint8),) * 2]
    for matrix, chosen in ((both, pairs), (first, pairs[:1]), (second, pairs[1:])):
        for labels, predicted in chosen:
            matrix.update(labels, predicted)
    assert both.iou[0] == pytest.approx(64 / 68)
    assert both.miou != pytest.approx((first.miou + second.miou) / 2)


def test_ignored_pixels_count_nowhere_whatever_is_predicted_there():
    matrix = ConfusionMatrix(classes(2, ignored=11))
    matrix.update(np.array([[0, 11], [11, 1]], np.uint8), np.array([[0, 1], [0, 0]], np.uint8))
    assert matrix.pixels == 2
    assert matrix.pixel_accuracy == pytest.approx(0.5)


def test_a_class_in_neither_truth_nor_prediction_is_left_out_of_the_mean():
    matrix = ConfusionMatrix(classes(3))
    matrix.update(np.array([[0, 0]], np.uint8), np.array([[0, 1]], np.uint8))
    assert np.isnan(matrix.iou[2])
    assert matrix.miou == pytest.approx((0.5 + 0.0) / 2)
    assert matrix.to_json()["iou"] == {"c0": 0.5, "c1": 0.0, "c2": None}


def test_nothing_counted_gives_no_figure():
    matrix = ConfusionMatrix(classes(2, ignored=255))
    matrix.update(np.full((2, 2), 255, np.uint8), np.zeros((2, 2), np.uint8))
    assert np.isnan(matrix.miou)
    assert matrix.to_json()["pixel_accuracy"] is None
    assert summary(matrix.to_json()) == "no pixel counted"


def test_a_label_that_is_no_class_is_refused_by_value():
    matrix = ConfusionMatrix(classes(3))
    ok, wrong = np.zeros((2, 2), np.uint8), np.full((2, 2), 7, np.uint8)
    with pytest.raises(DataError, match="label 7 is outside the 3 classes"):
        matrix.update(wrong, ok)
    with pytest.raises(DataError, match="predicted label 7"):
        matrix.update(ok, wrong)
    with pytest.raises(DataError, match="must match"):
        matrix.update(ok, np.zeros((2, 3), np.uint8))
    assert matrix.pixels == 0


PIXELS = hnp.arrays(np.uint8, (4, 5), elements=st.sampled_from([0, 1, 2, 9]))


@given(PIXELS, hnp.arrays(np.uint8, (4, 5), elements=st.integers(0, 2)))
def test_equals_the_definition_by_sets_of_pixels(labels, predicted):
    matrix = ConfusionMatrix(classes(3, ignored=9))
    matrix.update(labels, predicted)
    counted = labels != 9
    for index, iou in enumerate(matrix.iou):
        true, guess = (labels == index) & counted, (predicted == index) & counted
        union = (true | guess).sum()
        expected = (true & guess).sum() / union if union else np.nan
        assert iou == pytest.approx(expected, nan_ok=True)


def random_pair(seed, shape=(3, 24, 31), count=5):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, count, shape).astype(np.uint8)
    labels[rng.random(shape) < 0.1] = 255
    predicted = np.where(rng.random(shape) < 0.6, labels % count, rng.integers(0, count - 1, shape)).astype(np.uint8)
    return labels, predicted


def test_every_figure_is_torchmetrics_own():
    import torch

    from segfast_edge.model.torchvision_shim import with_operators

    where = "torchmetrics.functional.classification"
    classification = with_operators(lambda: importlib.import_module(where))  # it imports torchvision

    labels, predicted = random_pair(0)
    matrix = ConfusionMatrix(classes(5, ignored=255))
    matrix.update(labels, predicted)
    pair = torch.from_numpy(predicted).long(), torch.from_numpy(labels).long()
    each = {"num_classes": 5, "ignore_index": 255, "average": "none"}
    for ours, theirs in (
        (matrix.iou, classification.multiclass_jaccard_index(*pair, **each)),
        (matrix.recall, classification.multiclass_recall(*pair, **each)),
        (matrix.precision, classification.multiclass_precision(*pair, **each)),
        (matrix.dice, classification.multiclass_f1_score(*pair, **each)),
    ):
        assert np.nan_to_num(ours) == pytest.approx(theirs.numpy(), abs=1e-6)
    weighted = {**each, "average": "weighted"}
    assert matrix.frequency_weighted_iou == pytest.approx(
        float(classification.multiclass_jaccard_index(*pair, **weighted)), abs=1e-6
    )
    assert matrix.pixel_accuracy == pytest.approx(
        float(classification.multiclass_accuracy(*pair, num_classes=5, ignore_index=255, average="micro")), abs=1e-6
    )
    theirs = classification.multiclass_confusion_matrix(*pair, num_classes=5, ignore_index=255)
    assert matrix.counts.tolist() == theirs.tolist()


def test_the_interval_is_that_of_pictures_drawn_one_by_one():
    pairs = [random_pair(seed, (6, 7)) for seed in range(9)]
    counts = []
    for labels, predicted in pairs:
        one = ConfusionMatrix(classes(5, ignored=255))
        one.update(labels, predicted)
        counts.append(one.counts)
    low, high = interval(np.stack(counts), resamples=4000)
    rng, found = np.random.default_rng(5), []
    for _ in range(4000):
        whole = ConfusionMatrix(classes(5, ignored=255))
        for place in rng.integers(0, 9, 9):
            whole.counts += counts[place]
        found.append(whole.miou)
    assert (low, high) == pytest.approx(tuple(np.quantile(found, [0.025, 0.975])), abs=0.01)
    assert low < ConfusionMatrix(classes(5, ignored=255), sum(counts)).miou < high


def by_distance(labels, predicted, count, reach):
    """F1 of border pixels from the definition: every pixel against every other, no array tricks."""
    height, width = labels.shape
    ignored = {(y, x) for y in range(height) for x in range(width) if labels[y, x] == 255}

    def borders(mask, number):
        found = set()
        for y in range(height):
            for x in range(width):
                around = [(y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)]
                inside = [place for place in around if 0 <= place[0] < height and 0 <= place[1] < width]
                if mask[y, x] == number and any(mask[place] != number for place in inside):
                    found.add((y, x))
        near = {p for p in found for q in ignored if max(abs(p[0] - q[0]), abs(p[1] - q[1])) <= reach}
        return found - near

    scores = []
    for number in range(count):
        true, guess = borders(labels, number), borders(predicted, number)
        if not (true or guess):
            continue

        def met(some, others):
            hits = [p for p in some if any(max(abs(p[0] - q[0]), abs(p[1] - q[1])) <= reach for q in others)]
            return len(hits) / len(some) if some else 0.0

        recall, precision = met(true, guess), met(guess, true)
        scores.append(2 * recall * precision / (recall + precision) if recall + precision else 0.0)
    return sum(scores) / len(scores)


@pytest.mark.parametrize("reach", [1, 2])
def test_the_boundary_score_is_its_definition_pixel_by_pixel(reach):
    rng = np.random.default_rng(reach)
    blocks = rng.integers(0, 3, (4, 5)).astype(np.uint8)
    labels = np.kron(blocks, np.ones((5, 5), np.uint8))
    predicted = np.roll(labels, (1, 2), (0, 1))
    labels[3:5, 7] = 255
    score = BoundaryScore(classes(4, ignored=255), reach)
    score.update(labels, predicted)
    assert score.mean == pytest.approx(by_distance(labels, predicted, 4, reach))
    assert np.isnan(score.f1[3])
    perfect = BoundaryScore(classes(4, ignored=255), reach)
    perfect.update(labels, np.where(labels == 255, 0, labels).astype(np.uint8))
    assert perfect.mean > score.mean
