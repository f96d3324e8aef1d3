import threading
from pathlib import Path

import numpy as np
import pytest
import tiny_artifacts as tiny
from hypothesis import given
from hypothesis import strategies as st

from segfast_edge.contract.classes import ClassSet, distinct_palette
from segfast_edge.errors import DataError
from targets.common.sensors import temperature_c
from targets.runner.backoff import Backoff
from targets.runner.decoding import ReducedScale
from targets.runner.degradation import LONGEST_HOLD_S, Limits, Pace, Policy, ladder
from targets.runner.drivable import ahead, drivable_labels
from targets.runner.ledger import OUT, Ledger
from targets.runner.newest_frame import ClosedError, Slot


def test_a_slot_gives_the_newest_item_and_hands_back_the_older_one():
    slot = Slot(wait=False)
    assert slot.put(1) is None
    assert slot.put(2) == 1
    assert slot.take(0) == 2
    assert slot.take(0) is None


def test_a_waiting_slot_loses_nothing():
    slot, taken = Slot(wait=True), []
    writer = threading.Thread(target=lambda: [slot.put(number) for number in range(50)] and slot.close())
    writer.start()
    with pytest.raises(ClosedError):
        while True:
            taken.append(slot.take(5))
    writer.join()
    assert taken == list(range(50))


def test_a_closed_slot_still_gives_what_it_holds_and_refuses_more():
    slot = Slot(wait=False)
    slot.put(1)
    slot.close()
    assert slot.put(2) == 2
    assert slot.take(0) == 1
    with pytest.raises(ClosedError):
        slot.take(0)


def test_closing_frees_a_writer_that_waits():
    slot, refused = Slot(wait=True), []
    slot.put(1)
    writer = threading.Thread(target=lambda: refused.append(slot.put(2)))
    writer.start()
    slot.close()
    writer.join(5)
    assert refused == [2]


def test_a_ledger_counts_what_is_under_way_apart_and_balances():
    ledger = Ledger()
    first, second, third = (ledger.enter() for _ in range(3))
    ledger.leave(first, OUT)
    ledger.leave(third, "superseded")
    tally = ledger.tally()
    assert (tally.entered, tally.out, tally.in_flight, tally.dropped) == (3, 1, 1, {"superseded": 1})
    assert tally.balanced
    with pytest.raises(KeyError):
        ledger.leave(first, OUT)  # booked out twice would hide a loss
    ledger.leave(second, "corrupt")
    assert ledger.tally().corrupt == 1


def test_backoff_doubles_to_its_limit_and_starts_afresh():
    backoff = Backoff(0.1, 1.0)
    assert [backoff.failed() for _ in range(6)] == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.0, 1.0])
    backoff.succeeded()
    assert backoff.failed() == pytest.approx(0.1)


def test_pace_lets_one_frame_in_n_through():
    pace = Pace()
    pace.divisor = 4
    assert sum(pace.admits() for _ in range(40)) == 10


def watch(policy, seconds, temperature=None, late=0.0, start=0.0):
    """Observe once a second and return the names of the steps, as they change."""
    return [policy.step.name for second in range(seconds) if policy.observe(start + second, temperature, late)]


def test_heat_goes_down_step_by_step_and_back_up_only_when_cool(tmp_path):
    policy = Policy(Limits(hot_c=80, cool_c=70, hold_s=10), ladder(tmp_path))
    assert watch(policy, 20, temperature=85) == ["fallback", "half", "quarter", "eighth"]
    assert "85 °C" in policy.reason
    assert watch(policy, 60, temperature=75, start=20) == []  # below hot, not yet cool
    assert watch(policy, 60, temperature=60, start=80) == ["quarter", "half", "fallback", "full"]
    assert policy.reason == ""


def test_a_short_spike_changes_nothing():
    policy = Policy(Limits(), ladder(None))
    assert watch(policy, 2, late=0.9) == []
    assert watch(policy, 5, late=0.0, start=2) == []
    assert watch(policy, 2, late=0.9, start=7) == []


def slow(policy, seconds, helps, start=0.0, temperature=None):
    """Let every frame be late for so long; return the steps taken."""
    looks = range(seconds)
    return [policy.step.name for now in looks if policy.observe(start + now, temperature, 1.0, skipping_helps=helps)]


def test_fewer_frames_are_no_answer_to_work_that_takes_too_long_and_a_smaller_artifact_is():
    policy = Policy(Limits(), ladder(None))
    assert slow(policy, 60, helps=False) == []
    assert (
        policy.reason
        == "100% of frames late, the limit is 20%; fewer frames would not help, the work on one takes too long"
    )
    assert policy.step.name == "full"
    policy.observe(100, None, 0.0)
    assert policy.reason == ""
    policy = Policy(Limits(), ladder(Path("small")))
    assert slow(policy, 60, helps=False) == ["fallback"]
    assert slow(policy, 3, helps=True, start=100) == ["half"]  # with the smaller artifact it would help
    assert slow(policy, 60, helps=False, start=200) == ["fallback"]  # and is taken back where it did not


def test_heat_is_answered_with_fewer_frames_however_long_the_work_takes():
    assert slow(Policy(Limits(), ladder(None)), 14, helps=False, temperature=95.0) == ["half", "quarter", "eighth"]


def test_where_every_frame_counts_none_is_skipped():
    assert [step.divisor for step in ladder(Path("small"), may_skip=False)] == [1, 1]
    assert [step.name for step in ladder(None, may_skip=False)] == ["full"]


def test_swinging_between_two_steps_slows_down():
    policy, now, waits = Policy(Limits(hold_s=10), ladder(None)), 0.0, []
    for _ in range(8):
        while not policy.observe(now, None, 0.9):
            now += 1
        since = now
        while not policy.observe(now, None, 0.0):
            now += 1
        waits.append(now - since)
    assert waits == sorted(waits)
    assert waits[0] < 15
    assert waits[-1] >= LONGEST_HOLD_S


def test_limits_that_contradict_are_refused():
    with pytest.raises(DataError, match="cool limit 90"):
        Limits(hot_c=80, cool_c=90)
    with pytest.raises(DataError, match="late share 0"):
        Limits(late_share=0)


def test_the_hottest_zone_counts_and_broken_zones_do_not(tmp_path):
    for index, text in enumerate(("45000", "71500", "broken", "-256000", "2147483")):
        zone = tmp_path / f"sys/class/thermal/thermal_zone{index}"
        zone.mkdir(parents=True)
        (zone / "temp").write_text(text)
    assert temperature_c(tmp_path) == 71.5
    assert temperature_c(tmp_path / "none") is None


CLASSES = ClassSet(("Sky", "Road", "Car"), distinct_palette(3))


def test_an_empty_road_is_free_to_the_horizon_and_a_car_ends_it():
    labels = np.ones((100, 100), np.uint8)
    assert (ahead(labels, (1,)).share, ahead(labels, (1,)).free) == (1.0, 1.0)
    labels[60:70] = 2
    seen = ahead(labels, (1,))
    assert 0.7 < seen.share < 0.9
    assert seen.free == pytest.approx(30 / 55)  # rows 70 to 99 of 45 to 99
    labels[:] = 0
    assert (ahead(labels, (1,)).share, ahead(labels, (1,)).free) == (0.0, 0.0)


def test_what_lies_beside_the_way_does_not_count():
    labels = np.ones((100, 100), np.uint8)
    labels[:, :15] = labels[:, 85:] = 0
    assert ahead(labels, (1,)).share == 1.0


def test_drivable_classes_go_by_usual_name_or_by_choice():
    assert drivable_labels(CLASSES) == (1,)
    assert drivable_labels(ClassSet(("a", "b"), distinct_palette(2))) == ()
    assert ahead(np.zeros((20, 20), np.uint8), ()) is None
    assert drivable_labels(CLASSES, ["Car"]) == (2,)
    with pytest.raises(DataError, match=r"unknown class 'car'. Did you mean 'Car'\?"):
        drivable_labels(CLASSES, ["car"])


@given(st.integers(16, 200), st.integers(16, 200), st.integers(0, 2**32 - 1))
def test_shares_ahead_stay_within_bounds_for_any_mask(height, width, seed):
    labels = np.random.default_rng(seed).integers(0, tiny.CLASSES, (height, width), dtype=np.uint8)
    seen = ahead(labels, (0, 2))
    assert 0 <= seen.share <= 1
    assert 0 <= seen.free <= 1


def test_reduced_scale_is_given_up_at_the_first_disagreement():
    scale = ReducedScale(wanted=True, floor=0.99, every=2)
    labels = np.zeros((10, 10), np.uint8)
    assert [scale.due() for _ in range(4)] == [True, False, True, False]
    assert scale.allowed
    scale.compared(labels, labels)
    assert scale.allowed
    other = labels.copy()
    other[0, :2] = 1
    scale.compared(labels, other)
    assert not scale.allowed
    assert scale.lowest_agreement == pytest.approx(0.98)
    scale.compared(labels, labels)
    assert not scale.allowed
    assert not ReducedScale(wanted=False).allowed
