import itertools

import pytest

from segfast_edge.errors import SegfastError
from segfast_edge.training.recipe import RECIPES, Recipe, learning_rate, recipe


def test_the_papers_recipe_is_what_the_paper_says():
    paper = recipe("paper")
    assert (paper.optimiser, paper.lr, paper.schedule, paper.loss) == ("adam", 1e-3, "constant", "ce")
    assert (paper.epochs, paper.augment, paper.ema, paper.class_weights) == (200, False, 0.0, "none")
    assert paper.patience > 0


def test_recipes_survive_json():
    for one in RECIPES.values():
        assert Recipe.from_json(one.to_json()) == one


def test_warm_up_rises_to_the_peak_and_decay_ends_near_zero():
    for schedule in ("poly", "cosine"):
        one = Recipe("x", epochs=10, lr=1.0, schedule=schedule, warmup_epochs=2)
        rates = [learning_rate(one, step, 5) for step in range(50)]
        assert rates[:10] == pytest.approx([(step + 1) / 10 for step in range(10)])
        assert rates[10] == pytest.approx(1.0)
        assert all(later < earlier for earlier, later in itertools.pairwise(rates[10:]))
        assert 0 < rates[-1] < 0.06


def test_a_constant_rate_is_constant_beyond_the_last_epoch():
    assert {learning_rate(recipe("paper"), step, 3) for step in range(0, 3000, 7)} == {1e-3}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"epochs": 0}, "--epochs 0"),
        ({"batch_size": -1}, "--batch-size -1"),
        ({"lr": 0.0}, "--lr 0.0"),
        ({"lr": float("nan")}, "--lr nan"),
        ({"ema": 1.0}, "--ema 1.0"),
        ({"clip": -1.0}, "--clip -1.0"),
        ({"loss": "ce+lovas"}, "Did you mean 'ce\\+lovasz'"),
        ({"schedule": "linear"}, "unknown schedule"),
        ({"optimiser": "adamm"}, "Did you mean 'adam'"),
    ],
)
def test_impossible_values_name_their_flag(change, message):
    with pytest.raises(SegfastError, match=message):
        recipe("paper").changed(change)


def test_an_unknown_recipe_suggests_the_nearest():
    with pytest.raises(SegfastError, match="Did you mean 'paper'"):
        recipe("papper")
