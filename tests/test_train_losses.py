import importlib
import itertools
import math

import pytest
import torch
from torch.nn import functional as F

from segfast_edge.model.torchvision_shim import import_torchvision, with_operators
from segfast_edge.training.losses import NOT_COUNTED, balanced_weights, distillation, part_counts, terms, to_targets


def value(loss, logits, targets, weights=None):
    return float(sum(term.total / term.count for term in terms(loss, logits, targets, weights)))


@pytest.fixture
def batch():
    torch.manual_seed(0)
    logits = torch.randn(2, 4, 6, 5)
    targets = to_targets(torch.randint(0, 4, (2, 6, 5), dtype=torch.uint8), 3)
    return logits, targets


def test_cross_entropy_is_the_nll_of_log_softmax_over_counted_pixels(batch):
    logits, targets = batch
    expected = F.nll_loss(F.log_softmax(logits, 1), targets, ignore_index=NOT_COUNTED)
    assert value("ce", logits, targets) == pytest.approx(float(expected), rel=1e-6)


def test_class_weights_are_those_of_torch(batch):
    logits, targets = batch
    weights = torch.tensor([1.0, 2.0, 0.5, 1.0])
    expected = F.cross_entropy(logits, targets, weights, ignore_index=NOT_COUNTED)
    assert value("ce", logits, targets, weights) == pytest.approx(float(expected), rel=1e-6)


@pytest.mark.parametrize("loss", ["ce", "ohem", "focal", "ce+lovasz", "ce+dice", "ce+tversky"])
def test_the_sum_over_parts_of_a_batch_is_the_whole(batch, loss):
    logits, targets = batch
    whole = terms(loss, logits, targets, None)
    halves = [terms(loss, logits[i : i + 1], targets[i : i + 1], None) for i in range(2)]
    for index, term in enumerate(whole):
        assert float(term.total) == pytest.approx(sum(float(half[index].total) for half in halves), rel=1e-5)
        assert float(term.count) == pytest.approx(sum(float(half[index].count) for half in halves))


@pytest.mark.parametrize("loss", ["ce", "ohem", "focal", "ce+lovasz", "ce+dice", "ce+tversky"])
def test_pixels_that_do_not_count_have_no_gradient(batch, loss):
    logits, targets = batch
    logits = logits.clone().requires_grad_()
    sum(term.total / term.count for term in terms(loss, logits, targets, None)).backward()
    left_out = (targets == NOT_COUNTED)[:, None].expand_as(logits)
    assert left_out.any()
    assert logits.grad[left_out].abs().max() == 0
    assert logits.grad[~left_out].abs().max() > 0


@pytest.mark.parametrize("loss", ["ce", "ohem", "focal", "ce+lovasz", "ce+dice", "ce+tversky"])
def test_a_frame_without_counted_pixels_is_harmless(loss):
    logits = torch.randn(1, 3, 4, 4, requires_grad=True)
    found = terms(loss, logits, torch.full((1, 4, 4), NOT_COUNTED), None)
    total = sum(term.total for term in found)
    total.backward()
    assert total.item() == 0
    assert torch.isfinite(logits.grad).all()


def test_ohem_keeps_pixels_predicted_below_seven_tenths():
    probabilities = torch.tensor([[0.9, 0.6], [0.69, 0.71]])
    logits = torch.stack((probabilities.log(), (1 - probabilities).log()))[None]
    (term,) = terms("ohem", logits, torch.zeros(1, 2, 2, dtype=torch.long), None)
    assert float(term.count) == 2
    assert float(term.total) == pytest.approx(float(-torch.tensor([0.6, 0.69]).log().sum()), rel=1e-5)


def test_ohem_keeps_a_sixteenth_where_all_is_easy():
    logits = torch.zeros(1, 2, 8, 8)
    logits[:, 0] = 9
    (term,) = terms("ohem", logits, torch.zeros(1, 8, 8, dtype=torch.long), None)
    assert float(term.count) == 4


def test_lovasz_of_hard_predictions_is_one_minus_iou():
    """At the corners of the cube the Lovasz extension equals the set function it extends."""
    for bits in itertools.product((0, 1), repeat=4):
        truth = torch.tensor([[[0, 0, 1, 1]]])
        guess = torch.tensor([[bits]])
        logits = 50.0 * torch.stack((1 - guess[0], guess[0]))[None].float()
        _, lovasz = terms("ce+lovasz", logits, truth, None)
        expected = []
        for label in (0, 1):
            both = ((truth == label) & (guess == label)).sum()
            either = ((truth == label) | (guess == label)).sum()
            expected.append(1 - float(both / either))
        assert float(lovasz.total) == pytest.approx(sum(expected) / 2, abs=1e-5)


def test_dice_is_zero_for_a_perfect_prediction_and_grows_with_error():
    truth = torch.tensor([[[0, 0, 1, 1]]])
    perfect = 50.0 * F.one_hot(truth, 2).permute(0, 3, 1, 2).float()
    assert float(terms("ce+dice", perfect, truth, None)[1].total) == pytest.approx(0, abs=1e-5)
    assert float(terms("ce+dice", -perfect, truth, None)[1].total) == pytest.approx(0.8, abs=1e-5)


def test_distillation_is_zero_from_itself_and_positive_otherwise(batch):
    logits, _ = batch
    assert float(distillation(logits, logits).total) == pytest.approx(0, abs=1e-5)
    term = distillation(logits, logits.flip(1))
    assert float(term.total) > 0
    assert float(term.count) == 2 * 6 * 5


def test_rare_classes_weigh_more():
    weights = balanced_weights(torch.tensor([0.7, 0.29, 0.01]))
    assert weights[0] < weights[1] < weights[2]
    assert float(weights.mean()) == pytest.approx(1)


def test_lovasz_and_dice_are_those_of_each_frame_alone_without_the_pixels_that_do_not_count(batch):
    """The frames one by one, with the pixels that do not count cut out beforehand: no mask is involved."""
    logits, targets = batch
    for loss in ("ce+lovasz", "ce+dice"):
        parts = []
        for scores, target in zip(logits, targets, strict=True):
            counted = target != NOT_COUNTED
            parts.append(
                float(terms(loss, scores[:, counted][None, :, None], target[counted][None, None], None)[1].total)
            )
        assert float(terms(loss, logits, targets, None)[1].total) == pytest.approx(sum(parts), rel=1e-5)


def test_class_weights_follow_their_published_formulas():
    shares = torch.tensor([0.6, 0.3, 0.1, 0.0])
    for name, formula in (
        ("enet", lambda p: 1 / math.log(1.02 + p)),
        ("soft", lambda p: 1 / math.log(1.10 + p)),
        ("median", lambda p: 0.3 / p),
    ):
        expected = [formula(p) for p in (0.6, 0.3, 0.1)]
        found = balanced_weights(shares, name)
        assert found[:3].tolist() == pytest.approx([3 * value / sum(expected) for value in expected], rel=1e-5)
        assert found[3] == 1


def test_focal_of_two_classes_is_torchvisions_sigmoid_focal_loss():
    """The softmax of logits 0 and x gives the second class the probability sigmoid(x)."""
    sigmoid_focal_loss = import_torchvision("torchvision.ops").sigmoid_focal_loss
    torch.manual_seed(1)
    x, truth = torch.randn(2, 5, 7), torch.randint(0, 2, (2, 5, 7))
    expected = sigmoid_focal_loss(x, truth.float(), alpha=-1, gamma=2, reduction="mean")
    assert value("focal", torch.stack((torch.zeros_like(x), x), 1), truth) == pytest.approx(float(expected), rel=1e-5)


def test_tversky_of_hard_predictions_is_one_minus_torchmetrics_f_beta():
    """TP / (TP + a FP + b FN) with a + b = 1 is the F score with beta squared b / a; here 0.7 / 0.3."""
    f_beta = with_operators(lambda: importlib.import_module("torchmetrics.functional.classification"))
    torch.manual_seed(2)
    truth, guess = torch.randint(0, 3, (1, 8, 9)), torch.randint(0, 3, (1, 8, 9))
    logits = 60.0 * F.one_hot(guess, 3).permute(0, 3, 1, 2).float()
    scores = f_beta.multiclass_fbeta_score(
        guess.flatten(), truth.flatten(), (7 / 3) ** 0.5, num_classes=3, average=None
    )
    tversky = terms("ce+tversky", logits, truth, None)[1]
    assert float(tversky.total) == pytest.approx(float((1 - scores).mean()), rel=1e-5)


@pytest.mark.parametrize("loss", ["ce", "focal", "ce+lovasz", "ce+dice", "ce+tversky"])
@pytest.mark.parametrize("weights", [None, torch.tensor([1.0, 2.0, 0.5, 1.0])])
def test_counts_are_known_from_the_targets_alone(batch, loss, weights):
    logits, targets = batch
    found = [float(term.count) for term in terms(loss, logits, targets, weights)]
    assert [float(count) for count in part_counts(loss, targets, weights)] == pytest.approx(found)
