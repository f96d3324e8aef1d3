import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from segfast_edge.contract.classes import ClassSet, distinct_palette
from segfast_edge.errors import DataError
from segfast_edge.prediction.metrics import ConfusionMatrix, summary


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
