"""Steps in parts, frozen weights, learning-rate groups, the time limit and a fraction of the data."""

from dataclasses import replace

import pytest
import torch
from tiny_training import CPU, FULL, PAPER, Recorder, run, same, settings, weights
from torch import nn

from segfast_edge.errors import SegfastError
from segfast_edge.training.distributed import World
from segfast_edge.training.prepare import read_data
from segfast_edge.training.weights import optimiser, set_training

# standard: void does not count, so parts of a batch differ in how many pixels count
SGD = PAPER.changed({"optimiser": "sgd", "lr": 0.05, "batch_size": 8, "clip": 0.5})


@pytest.mark.parametrize(("loss", "parts"), [("focal", 2), ("ce+lovasz", 8)])
def test_a_step_in_parts_gives_the_weights_of_the_step_in_one_piece(tmp_path, loss, parts):
    one = SGD.changed({"loss": loss, "class_weights": "enet"})
    run(settings(one, protocol="standard"), tmp_path / "whole")
    run(settings(one.changed({"accumulate": parts}), protocol="standard"), tmp_path / "parts")
    for name, value in weights(tmp_path / "whole").items():
        torch.testing.assert_close(weights(tmp_path / "parts")[name], value, rtol=1e-4, atol=1e-6)


def test_a_taught_step_in_parts_gives_the_weights_of_the_step_in_one_piece(tmp_path):
    run(settings(protocol="standard"), tmp_path / "teacher")
    taught = settings(SGD.changed({"distill": 3.0}), protocol="standard", teacher=tmp_path / "teacher/best.pt")
    run(taught, tmp_path / "whole")
    run(replace(taught, recipe=taught.recipe.changed({"accumulate": 4})), tmp_path / "parts")
    for name, value in weights(tmp_path / "whole").items():
        torch.testing.assert_close(weights(tmp_path / "parts")[name], value, rtol=1e-4, atol=1e-6)


class Encoded(nn.Module):
    """An encoder of two layers, and a decoder."""

    def __init__(self, classes):
        super().__init__()
        self.encoder = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.Conv2d(4, 4, 3, padding=1))
        self.decoder = nn.Conv2d(4, classes, 1)

    def forward(self, x):
        return self.decoder(self.encoder(x))


def test_frozen_modules_keep_weights_and_statistics_to_the_bit(tmp_path):
    run(settings(PAPER.changed({"epochs": 1, "freeze": ("encoder",)}), "test_train_options:Encoded"), tmp_path / "run")
    torch.manual_seed(0)
    before, after = Encoded(12).state_dict(), weights(tmp_path / "run")
    for name, value in after.items():
        assert torch.equal(value, before[name]) == name.startswith("encoder."), name


def test_frozen_modules_stay_in_evaluation_mode():
    module = Encoded(2)
    set_training(module, ("encoder.1",))
    assert not module.encoder[1].training
    assert module.encoder[0].training


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"freeze": ("backbone",)}, "--freeze backbone matches no weight.* encoder, decoder"),
        ({"freeze": ("encoder", "decoder")}, "freezes every weight"),
        ({"lr_groups": (("head", 0.1),)}, "--lr-groups head matches no weight.* encoder, decoder"),
    ],
)
def test_names_that_match_nothing_are_refused_with_those_that_exist(tmp_path, change, message):
    with pytest.raises(SegfastError, match=message):
        run(settings(PAPER.changed(change), "test_train_options:Encoded"), tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"accumulate": 3, "batch_size": 8}, "--accumulate 3 does not divide --batch-size 8"),
        ({"fraction": 0.0}, "--fraction 0.0"),
        ({"layer_decay": 1.5}, "--layer-decay 1.5"),
        ({"lr_groups": (("encoder", -1.0),)}, "--lr-groups encoder=-1.0"),
    ],
)
def test_impossible_values_name_their_flag(change, message):
    with pytest.raises(SegfastError, match=message):
        PAPER.changed(change)


def rates(recipe):
    module = Encoded(2)
    names = {id(weight): name for name, weight in module.named_parameters()}
    groups = optimiser(recipe, module).param_groups
    return {names[id(weight)]: group["share"] for group in groups for weight in group["params"]}


def test_learning_rate_groups_go_by_the_longest_prefix():
    found = rates(PAPER.changed({"encoder_lr": 0.5, "lr_groups": (("encoder.2", 0.1), ("decoder.bias", 2.0))}))
    assert (found["encoder.0.weight"], found["encoder.2.weight"]) == (0.5, 0.1)
    assert (found["decoder.weight"], found["decoder.bias"]) == (1.0, 2.0)


def test_layer_decay_multiplies_once_more_for_each_layer_before_the_last():
    found = rates(PAPER.changed({"layer_decay": 0.5}))
    assert found["decoder.weight"] == 1.0
    assert [found[f"encoder.{layer}.weight"] for layer in (2, 1, 0)] == [0.5, 0.25, 0.125]


def test_a_weight_moves_by_its_share_of_the_learning_rate(tmp_path):
    """One step of plain gradient descent: what a weight moves is proportional to its rate."""
    torch.manual_seed(0)
    before = Encoded(12).state_dict()
    one = SGD.changed({"epochs": 1, "clip": 0.0, "batch_size": 9})
    moved = {}
    for name, groups in (("whole", ()), ("tenth", (("decoder", 0.1),))):
        run(settings(one.changed({"lr_groups": groups}), "test_train_options:Encoded"), tmp_path / name)
        moved[name] = weights(tmp_path / name)["decoder.weight"] - before["decoder.weight"]
    torch.testing.assert_close(moved["tenth"], 0.1 * moved["whole"], rtol=1e-3, atol=1e-6)


def test_the_time_limit_saves_and_ends_and_the_rest_gives_the_same_bits(tmp_path):
    chosen = settings(FULL, "tiny_networks:normalised")
    run(chosen, tmp_path / "whole")
    late = replace(chosen, hardware=replace(CPU, max_hours=1e-9))
    recorder = Recorder()
    outcome = run(late, tmp_path / "parts", recorder)
    assert (outcome.ending, recorder.steps) == ("out of time", [(1, 1)])
    assert run(chosen, tmp_path / "parts", resume=True).ending == "finished"
    assert same(weights(tmp_path / "whole"), weights(tmp_path / "parts"))


def test_a_fraction_is_drawn_by_the_seed_and_a_larger_one_includes_it():
    def pictures(fraction, seed=0):
        chosen = settings(PAPER.changed({"fraction": fraction}), seed=seed)
        train = read_data(chosen, World(), lambda *_: None).train
        return {train[0, index][0].numpy().tobytes() for index in range(len(train))}

    assert [len(pictures(fraction)) for fraction in (0.01, 1 / 3, 1.0)] == [1, 3, 9]
    assert pictures(1 / 3) < pictures(2 / 3) < pictures(1.0)
    assert pictures(1 / 3) != pictures(1 / 3, seed=1)
