import math

import numpy as np
import pytest
from tiny_training import FULL, Recorder, interrupt, run, same, settings, weights

from segfast_edge.cli import main
from segfast_edge.data.augmentation import PADDING_COLOUR, Augmentation, generator
from segfast_edge.data.augmented import Augmented
from segfast_edge.data.effects import KINDS, Effect, parse_effects
from segfast_edge.data.warping import turned, warped
from segfast_edge.data.windows import WindowChoice, rarity
from segfast_edge.errors import DataError, SegfastError

STRONG = {
    "rotate": 30, "perspective": 0.3, "cutout": 0.6, "cutmix": 0.6, "copy-paste": 1, "rain": 1, "dark": 1,
    "motion-blur": 9, "rare": 4, "limit": 0.5,
}  # fmt: skip
ALL = tuple(f"{name}={strength}@1" for name, strength in STRONG.items())
VOID = 11


def pair(seed=5, size=(40, 60)):
    """A frame whose colour says which label its pixel has."""
    rng = np.random.default_rng(seed)
    labels = np.kron(rng.integers(0, 5, (size[0] // 10, size[1] // 10)), np.ones((10, 10))).astype(np.uint8)
    return coloured(labels), labels


def coloured(labels):
    return np.stack([labels * 40 + 30] * 3, axis=-1).astype(np.uint8)


def effect(name, chance=1.0):
    return Effect(name, STRONG[name], chance)


def test_every_effect_is_tried_here():
    assert STRONG.keys() == KINDS.keys()


def test_a_quarter_turn_is_numpys_and_padding_stays_outside():
    frame, labels = pair(size=(40, 40))
    frame[3, 5], labels[3, 5] = (9, 8, 7), 4
    got, ids = warped((frame, labels), turned((40, 40), math.pi / 2), VOID)
    assert any(np.array_equal(ids, np.rot90(labels, k)) and np.array_equal(got, np.rot90(frame, k)) for k in (1, 3))
    same_again = warped((frame, labels), turned((40, 40), 0.0), VOID)
    assert np.array_equal(same_again[1], labels)


@pytest.mark.parametrize("name", ["rotate", "perspective"])
@pytest.mark.parametrize("padding", [VOID, None])
def test_labels_stay_on_their_pixels_whatever_the_geometry(name, padding):
    frame, labels = pair()
    for seed in range(20):
        got, ids = effect(name).apply((frame, labels), None, padding, np.random.default_rng(seed))
        assert set(np.unique(ids)) <= {*range(5), padding}
        real = ids != VOID
        agree = np.abs(got[..., 0].astype(int) - (ids.astype(int) * 40 + 30))[real] < 20
        assert agree.mean() > 0.8  # bilinear edges between blocks are neither colour
        outside = np.all(got == PADDING_COLOUR, axis=-1)
        assert (outside != ~real).mean() < 0.02


@pytest.mark.parametrize("name", ["cutmix", "copy-paste"])
def test_every_pixel_of_a_mixture_is_one_pictures_with_that_pictures_label(name):
    mine, other = (np.full((20, 30, 3), 10, np.uint8), np.full((20, 30), 1, np.uint8)), pair(2, (20, 30))
    other[1][:, :4] = VOID
    taken = []
    for seed in range(20):
        got, ids = effect(name).apply(mine, other, VOID, np.random.default_rng(seed))
        from_mine = np.all(got == mine[0], axis=-1) & (ids == mine[1])
        from_other = np.all(got == other[0], axis=-1) & (ids == other[1])
        assert (from_mine | from_other).all()
        taken.append((~from_mine).mean())
        if name == "copy-paste":
            assert VOID not in ids  # what is not labelled is not pasted
    assert 0 < np.mean(taken) < 0.9


def test_copy_paste_takes_small_classes_whole():
    labels = np.zeros((20, 20), np.uint8)
    labels[2:6, 3:9] = 3
    other = coloured(labels), labels
    mine = np.full((20, 20, 3), 5, np.uint8), np.full((20, 20), 2, np.uint8)
    _, ids = effect("copy-paste").apply(mine, other, None, np.random.default_rng(0))
    assert np.array_equal(ids, np.where(labels == 3, 3, 2))


def test_cutout_hides_one_rectangle_and_what_it_hides_does_not_count():
    frame, labels = pair()
    _, ids = effect("cutout").apply((frame, labels), None, VOID, np.random.default_rng(1))
    rows, columns = np.nonzero(ids == VOID)
    assert (np.ptp(rows) + 1) * (np.ptp(columns) + 1) == len(rows) > 0
    _, kept = effect("cutout").apply((frame, labels), None, None, np.random.default_rng(1))
    assert np.array_equal(kept, labels)


@pytest.mark.parametrize("name", ["dark", "rain", "motion-blur"])
def test_light_and_weather_change_the_frame_and_never_the_labels(name):
    frame, labels = pair()
    got, ids = effect(name).apply((frame, labels), None, VOID, np.random.default_rng(0))
    assert ids is labels
    assert np.abs(got.astype(int) - frame).mean() > 2


def test_dark_is_a_gamma_curve():
    ramp = np.arange(256, dtype=np.uint8).reshape(16, 16)[..., None].repeat(3, 2)
    got, _ = effect("dark").apply((ramp, ramp[..., 0]), None, None, np.random.default_rng(0))
    inner = slice(100, 250)
    x, y = (picture[..., 0].ravel()[inner] / 255 for picture in (ramp, got))
    gammas = np.log(y) / np.log(x)
    assert 1.5 < np.median(gammas) < 4.1
    assert np.abs(gammas - np.median(gammas)).max() < 0.2


def test_motion_blur_spreads_a_point_along_a_line_and_keeps_its_light():
    frame = np.zeros((41, 41, 3), np.uint8)
    frame[20, 20] = 240
    got, _ = Effect("motion-blur", 20, 1).apply((frame, frame[..., 0]), None, None, np.random.default_rng(0))
    rows, columns = np.nonzero(got[..., 0])
    assert 2 <= math.hypot(np.ptp(rows), np.ptp(columns)) <= 21
    assert got[..., 0].sum() == pytest.approx(240, abs=20)


def change(*effects, seed=1):
    pictures = [pair(number) for number in range(4)]
    augmentation = Augmentation((32, 48), VOID, window_choice=WindowChoice(4, 0.5, rarity(np.full(5, 0.2))))
    return lambda *key: Augmented(augmentation, seed, 4, effects)(*key, pictures.__getitem__)


def test_pictures_are_a_function_of_seed_epoch_and_index():
    first, again = change(*ALL)(2, 3), change(*ALL)(2, 3)
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    for other in (change(*ALL, seed=0)(2, 3), change(*ALL)(0, 3), change(*ALL)(2, 0)):
        assert not np.array_equal(first[0], other[0])
    assert set(np.unique(first[1])) <= {*range(5), VOID}


def test_an_effect_leaves_what_others_do_as_it_was():
    before, after = change("cutout=0.4@1")(0, 1), change("cutout=0.4@1", "dark=1@1")(0, 1)
    assert np.array_equal(before[1], after[1])
    assert not np.array_equal(before[0], after[0])


def test_probabilities_are_those_asked_for():
    plain = [change()(epoch, 0)[0] for epoch in range(200)]
    dark = [change("dark=1@0.25")(epoch, 0)[0] for epoch in range(200)]
    changed = sum(not np.array_equal(a, b) for a, b in zip(plain, dark, strict=True))
    assert 30 <= changed <= 72  # 50 are expected; four standard deviations are 24


def test_windows_are_drawn_towards_rare_classes_and_away_from_one_class():
    labels = np.zeros((100, 100), np.uint8)
    labels[40:60, 80:] = 2
    labels[:, :30] = 1
    shares = np.bincount(labels.ravel(), minlength=3) / labels.size

    def found(choice):
        augmentation = Augmentation((20, 20), scale=(4.0, 4.0), window_choice=choice)
        return [augmentation.apply(coloured(labels), labels, generator(0, 0, n))[1] for n in range(60)]

    plain, rare = (np.mean([(ids == 2).any() for ids in found(c)]) for c in (None, WindowChoice(8, 1, rarity(shares))))
    assert rare > plain + 0.3
    full, limited = (
        np.mean([np.bincount(ids.ravel()).max() > 0.85 * ids.size for ids in found(choice)])
        for choice in (None, WindowChoice(1, 0.8, rarity(shares)))
    )
    assert limited < full - 0.3


def test_a_training_with_every_effect_is_resumed_to_the_same_bits(tmp_path):
    chosen = settings(FULL.changed({"effects": (*ALL, "test_data_effects:inverted@0.5"), "epochs": 2}))
    run(chosen, tmp_path / "whole")
    run(chosen, tmp_path / "parts", Recorder((1, 3), interrupt))
    run(chosen, tmp_path / "parts", resume=True)
    assert same(weights(tmp_path / "whole"), weights(tmp_path / "parts"))
    run(settings(FULL.changed({"epochs": 2})), tmp_path / "plain")
    assert not same(weights(tmp_path / "whole"), weights(tmp_path / "plain"))


def inverted(frame, labels, generator):
    return 255 - frame, labels


def smaller(frame, labels, generator):
    return frame[1:], labels[1:]


def test_ones_own_function_is_an_effect():
    plain, mine = change()(0, 0), change("test_data_effects:inverted")(0, 0)
    assert np.array_equal(mine[0], 255 - plain[0])
    with pytest.raises(DataError, match=r"must give uint8 arrays of \(32, 48, 3\)"):
        change("test_data_effects:smaller")(0, 0)
    with pytest.raises(SegfastError, match="has no function 'larger'"):
        change("test_data_effects:larger")(0, 0)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("rotat=3",), "Did you mean 'rotate'"),
        (("rotate",), "not NAME=STRENGTH"),
        (("rotate=300",), "largest angle in degrees.*at most 180"),
        (("cutout=0",), "must be over 0"),
        (("rain=1@2",), "probability"),
        (("rain=1", "rain=0.5"), "given twice"),
    ],
)
def test_what_is_not_an_effect_is_refused(words, message):
    with pytest.raises(DataError, match=message):
        parse_effects(words)
    with pytest.raises(SegfastError, match=message):
        FULL.changed({"effects": words})


def test_effects_need_augmentation():
    with pytest.raises(SegfastError, match="--effects rain=1 needs --augment"):
        FULL.changed({"effects": ("rain=1",), "augment": False})


def test_data_check_shows_a_sheet_of_what_a_training_sees(tmp_path, capsys):
    from PIL import Image

    words = ["data", "check", "scenes:size=32x48,train=3,val=2,test=1", "--augmented"]
    for name, more in (("plain.png", []), ("rain.png", ["--effects", "rain=1@1"])):
        assert main([*words, str(tmp_path / name), *more]) == 0
    plain, rain = (np.asarray(Image.open(tmp_path / name)) for name in ("plain.png", "rain.png"))
    assert plain.shape == rain.shape
    assert not np.array_equal(plain, rain)
