"""The pipeline with real threads: sources and outputs of the tests' own, the null engine, one that can be broken."""

import dataclasses
import itertools
import threading
import time

import numpy as np
import pytest
import tiny_artifacts as tiny
import tiny_runner
from tiny_runner import Kept, Script, null_labels, null_model, proven_artifact, serving, wait_for

from segfast_edge.contract.masks import mask_at
from segfast_edge.errors import DataError
from targets.common.session import CheckedSession
from targets.runner import degradation, main_loop
from targets.runner.decoding import Encoded
from targets.runner.degradation import Limits, Policy, Step
from targets.runner.frames import Broken
from targets.runner.inputs import EndOfInputError, InputLostError, InputOptions, open_input
from targets.runner.systemd_notify import Notifier


def test_every_picture_of_a_folder_comes_out_in_order_with_the_right_mask(tmp_path):
    model, kept = null_model(tmp_path / "a"), Kept()
    folder = tiny_runner.pictures(tmp_path / "in", 12)
    kept.hold = 0.01
    with serving(open_input(str(folder), InputOptions()), model, kept) as (_, pipeline):
        assert pipeline.ended.wait(240)
    assert [result.name for result in kept.results] == [f"{index:03d}" for index in range(12)]
    frame = tiny.frame(40, 60, seed=3)
    expected = mask_at(null_labels(model.manifest.preprocess.image(frame)), (40, 60))
    assert np.array_equal(kept.results[3].mask, expected)
    assert pipeline.ledger.tally().to_json() == {"in": 12, "out": 12, "corrupt": 0, "dropped": {}, "in_flight": 0}
    assert kept.closed


def test_a_live_source_is_never_kept_waiting_and_the_newest_frame_wins(tmp_path):
    kept, source = Kept(), Script()
    model = broken_model(tmp_path, delay=0.05)
    with serving(source, model, kept) as (_, pipeline):
        source.give(*(np.full((20, 20, 3), value, np.uint8) for value in range(200)))
        wait_for(lambda: pipeline.ledger.tally().entered == 200)
        wait_for(lambda: pipeline.ledger.tally().in_flight == 0)
    tally = pipeline.ledger.tally()
    assert tally.out < 200
    assert tally.out + sum(tally.dropped.values()) == 200
    assert set(tally.dropped) == {"superseded"}
    assert kept.results[-1].picture.getpixel((0, 0))[0] == 199


def test_corrupt_frames_are_counted_and_the_stream_goes_on(tmp_path):
    kept, source = Kept(), Script()
    good = tiny_runner.jpeg(tiny.frame())
    with serving(source, null_model(tmp_path / "a"), kept, keep_all=True) as (_, pipeline):
        bad = [Encoded(good[:200], "cut"), Broken("part of 0 bytes"), Encoded(b"", "empty"), Encoded(b"GIF89a", "gif")]
        source.give(Encoded(good, "a"), *bad, Encoded(good, "b"), EndOfInputError())
        assert pipeline.ended.wait(240)
    assert pipeline.ledger.tally().to_json() == {"in": 6, "out": 2, "corrupt": 4, "dropped": {}, "in_flight": 0}
    assert "gif" in pipeline.decoder.last_damage


class CameraScript(Script):
    """A camera of the tests' own."""

    camera = True


def scene(number):
    """Return a frame with texture and noise, another for each number, as a sensor gives it."""
    noise = np.random.default_rng(number).integers(0, 40, (60, 80, 3))
    return (np.linspace(40, 180, 80)[None, :, None] + noise).astype(np.uint8)


@pytest.mark.parametrize(
    ("doubt", "picture"),
    [
        ("black", lambda _: np.full((60, 80, 3), 3, np.uint8)),
        ("black", lambda number: np.random.default_rng(number).integers(0, 15, (60, 80, 3)).astype(np.uint8)),
        ("overexposed", lambda number: np.random.default_rng(number).integers(251, 256, (60, 80, 3)).astype(np.uint8)),
        ("frozen", lambda _: scene(0)),
    ],
)
@pytest.mark.parametrize("encoded", [False, True])
def test_a_cameras_picture_that_nobody_should_trust_is_marked_then_withheld_and_comes_back(
    tmp_path, doubt, picture, encoded
):
    kept, source, numbers = Kept(), CameraScript(), itertools.count()
    with serving(source, null_model(tmp_path / "a"), kept, stall_s=0.3, stuck_s=60.0) as (service, pipeline):

        def give(frame):
            source.give(Encoded(tiny_runner.jpeg(frame, 98), "frame") if encoded else frame)
            time.sleep(0.02)

        wait_for(lambda: give(scene(next(numbers))) or kept.results)
        wait_for(lambda: give(picture(next(numbers))) or pipeline.state()[0] == "no_frames")
        assert pipeline.state()[1] == f"the picture has been {doubt} for over 0.3 s"
        wait_for(lambda: give(picture(next(numbers))) or any(each.state == "no_frames" for each in kept.notices))
        assert {each.doubt for each in kept.results} == (
            {""} if doubt == "frozen" else {"", doubt}
        )  # it takes a second
        assert service.describe()["picture"]["doubt"] == doubt
        seen = len(kept.results)
        for _ in range(5):
            give(picture(next(numbers)))
        assert len(kept.results) == seen
        wait_for(lambda: give(scene(next(numbers))) or (kept.results[-1].doubt == "" and len(kept.results) > seen))
        wait_for(lambda: give(scene(next(numbers))) or pipeline.state()[0] == "running")
    dropped = pipeline.ledger.tally().dropped
    assert dropped["distrusted"] >= 5
    assert service.describe()["picture"]["doubtful"][doubt] >= dropped["distrusted"]


def test_pictures_of_a_folder_are_marked_only_and_so_are_a_cameras_if_told(tmp_path):
    black = np.zeros((60, 80, 3), np.uint8)
    for source, withhold in ((Script(), True), (CameraScript(), False)):
        kept = Kept()
        with serving(source, null_model(tmp_path / f"{withhold}"), kept, stall_s=0.2, withhold=withhold):
            wait_for(lambda s=source, k=kept: s.give(black) or time.sleep(0.02) or len(k.results) > 40)
        assert {each.doubt for each in kept.results} == {"black"}


def test_a_change_of_resolution_changes_the_mask_and_is_counted(tmp_path):
    kept, source = Kept(), Script()
    with serving(source, null_model(tmp_path / "a"), kept, keep_all=True) as (_, pipeline):
        source.give(*(np.zeros((*size, 3), np.uint8) for size in ((40, 60), (40, 60), (90, 30), (40, 60))))
        wait_for(lambda: len(kept.results) == 4)
    assert [result.mask.shape for result in kept.results] == [(40, 60), (40, 60), (90, 30), (40, 60)]
    assert pipeline.decoder.resolution_changes == 2


def test_frames_that_are_no_use_are_no_result_and_an_old_damage_is_not_given_as_the_reason(tmp_path):
    kept, source = Kept(), Script()
    frame = np.zeros((20, 20, 3), np.uint8)
    with serving(source, null_model(tmp_path / "a"), kept, stall_s=0.5, stuck_s=0.5) as (_, pipeline):

        def said_while_giving(payload):
            source.give(payload)
            return " ".join(pipeline.state())

        damage = "no_result no frame can be used; the last: part of 0 bytes"
        wait_for(lambda: said_while_giving(Broken("part of 0 bytes")) == damage)
        wait_for(lambda: said_while_giving(frame) == "running ")
        pipeline.pace.divisor = 10**9  # frames come, and none is processed
        wait_for(lambda: said_while_giving(frame) == "no_result no result for over 0.5 s")


class Pluggable(Script):
    plugged = True

    def connect(self):
        super().connect()
        if not self.plugged:
            raise InputLostError("still unplugged")


def test_an_unplugged_source_is_said_to_be_gone_and_comes_back(tmp_path):
    kept, source = Kept(), Pluggable()
    frame = np.zeros((20, 20, 3), np.uint8)
    with serving(source, null_model(tmp_path / "a"), kept, stall_s=0.2) as (_, pipeline):
        source.give(frame)
        wait_for(lambda: kept.results)
        source.plugged = False
        source.give(InputLostError("unplugged"))
        wait_for(lambda: any(notice.state == "no_frames" for notice in kept.notices))
        wait_for(lambda: pipeline.state() == ("no_frames", "still unplugged"))
        source.plugged = True
        source.give(frame)
        wait_for(lambda: len(kept.results) == 2)
        wait_for(lambda: pipeline.state()[0] == "running")
    assert pipeline.reader.losses == 1
    assert source.connects >= 3  # the first, at least one in vain, the last


def test_a_source_that_goes_silent_is_noticed_without_an_error(tmp_path):
    kept, source = Kept(), Script()
    with serving(source, null_model(tmp_path / "a"), kept, stall_s=0.2) as (_, pipeline):
        source.give(np.zeros((20, 20, 3), np.uint8))
        wait_for(lambda: pipeline.state()[0] == "running")
        notice = wait_for(lambda: kept.notices)[0]
    assert (notice.state, notice.reason) == ("no_frames", "no frame for over 0.2 s")


class Breakable:
    """The null session, slow by ``delay`` seconds and raising ``error`` while that is set."""

    def __init__(self, session, delay):
        self.inner, self.delay, self.error, self.answer = session, delay, None, None

    def run(self, batch):
        time.sleep(self.delay)
        if self.error is not None:
            raise self.error
        return self.inner.run(batch) if self.answer is None else self.answer

    def facts(self):
        return {}


def broken_model(tmp_path, delay=0.0):
    model = null_model(tmp_path / "breakable")
    session = Breakable(model.session.session, delay)
    return dataclasses.replace(model, session=CheckedSession(session, model.manifest, "null"))


class EngineOnlyError(Exception):
    """What no runner can know of, as every engine has its own."""


def test_an_engine_that_fails_is_opened_again_and_consumers_hear_of_it(tmp_path):
    kept, source = Kept(), Script()
    model = broken_model(tmp_path)
    with serving(source, model, kept) as (_, pipeline):
        frame = np.zeros((20, 20, 3), np.uint8)
        source.give(frame)
        wait_for(lambda: kept.results)
        model.session.session.error = EngineOnlyError("device lost")
        source.give(frame)
        wait_for(lambda: pipeline.state()[0] == "no_result")
        assert pipeline.state()[1] == "the engine failed: EngineOnlyError: device lost"
        wait_for(lambda: any(notice.state == "no_result" for notice in kept.notices))

        def fed():
            source.give(frame)
            time.sleep(0.02)
            return pipeline.state()[0] == "running"

        wait_for(fed)  # the model is opened again from its artifact, sound
    assert (pipeline.inference.failures, pipeline.inference.restarts) == (1, 1)
    tally = pipeline.ledger.tally()
    assert tally.dropped["engine"] >= 1
    assert tally.out == len(kept.results) + sum(pipeline.lanes[0].ledger.tally().dropped.values())


def test_an_engine_that_stays_broken_keeps_saying_no_result_with_growing_pauses(tmp_path):
    source, model = Script(), broken_model(tmp_path)
    (model.choice.artifact / "model.tflite").write_bytes(b"damaged while running")
    model.session.session.error = EngineOnlyError("gone")
    started = time.monotonic()
    with serving(source, model, Kept()) as (_, pipeline):
        while time.monotonic() < started + 1.0:
            source.give(np.zeros((20, 20, 3), np.uint8))
            time.sleep(0.01)
        assert pipeline.state()[0] == "no_result"
        assert "sha256 differs" in pipeline.state()[1]
        assert 2 <= pipeline.inference.failures <= 5  # at 0, 0.1, 0.3, 0.7 seconds
    assert pipeline.ledger.tally().out == 0


def test_a_label_that_no_class_has_is_an_engine_failure_not_a_result(tmp_path):
    kept, source, model = Kept(), Script(), broken_model(tmp_path)
    model.session.session.answer = np.full((1, tiny.HEIGHT, tiny.WIDTH), 77, np.uint8)
    with serving(source, model, kept) as (_, pipeline):
        source.give(np.zeros((20, 20, 3), np.uint8))
        wait_for(lambda: pipeline.inference.failure)
        assert "label 77" in pipeline.inference.failure
    assert kept.results == []


def test_an_engine_that_hangs_is_no_result_and_stuck(tmp_path):
    source = Script()
    with serving(source, broken_model(tmp_path, delay=0.6), Kept(), stuck_s=0.1) as (_, pipeline):
        source.give(np.zeros((20, 20, 3), np.uint8))
        wait_for(lambda: pipeline.stuck)
        assert pipeline.state() == ("no_result", "the engine has been busy for over 0.1 s")
        wait_for(lambda: not pipeline.stuck)


class Hanging(Script):
    """A source that hangs in one of its calls until it is let go."""

    def __init__(self, where):
        super().__init__()
        self.where, self.free = where, threading.Event()

    def connect(self):
        super().connect()
        if self.where == "connect":
            self.free.wait(30)

    def read(self, wait_s):
        if self.where == "read":
            self.free.wait(30)
        return super().read(wait_s)


class HangingPayload:
    """A frame whose decoding hangs until it is let go."""

    def __init__(self):
        self.free = threading.Event()

    def decode(self, _):
        self.free.wait(30)
        raise DataError("let go")


class Beats(Notifier):
    """Counts how often the watchdog is fed."""

    def __init__(self):
        super().__init__({})
        self.count = 0

    def beat(self):
        self.count += 1


@pytest.mark.parametrize("where", ["read", "connect", "decode", "engine"])
def test_the_watchdog_is_fed_only_while_no_thread_hangs(tmp_path, where):
    source, model, payload = Hanging(where), broken_model(tmp_path, delay=3.0 * (where == "engine")), HangingPayload()
    source.give(payload if where == "decode" else np.zeros((20, 20, 3), np.uint8))
    limits = {"stuck_s": 0.2, "read_s": 0.4}
    with serving(source, model, Kept(), **limits) as (service, pipeline):
        service._notifier = Beats()
        who = {"decode": "decoder", "engine": "engine"}.get(where, "reader")
        said = wait_for(lambda: pipeline.stuck)
        assert said.startswith(f"the {who} has been busy for over 0.")
        wait_for(lambda: pipeline.state() == ("no_result", said))
        fed = wait_for(lambda: service._state == "no_result" and [service._notifier.count])
        time.sleep(0.5)
        assert not pipeline.stuck or service._notifier.count == fed[0]
        source.free.set()
        payload.free.set()
        wait_for(lambda: not pipeline.stuck)
        wait_for(lambda: service._notifier.count > fed[0])


def test_a_slow_output_drops_its_own_results_only(tmp_path):
    slow, quick, source = Kept(), Kept(), Script()
    slow.hold = 0.2
    with serving(source, null_model(tmp_path / "a"), slow, quick) as (_, pipeline):
        for _ in range(20):
            source.give(np.zeros((20, 20, 3), np.uint8))
            time.sleep(0.02)
        wait_for(lambda: pipeline.ledger.tally().in_flight == 0)
    assert pipeline.lanes[0].ledger.tally().dropped["superseded"] > 5
    assert len(slow.results) < len(quick.results)


def test_an_output_that_fails_rests_and_works_again_while_the_others_go_on(tmp_path):
    bad, good, source = Kept(), Kept(), Script()
    bad.error = OSError(28, "No space left on device")
    with serving(source, null_model(tmp_path / "a"), bad, good) as (_, pipeline):
        lane = pipeline.lanes[0]

        def fed():
            source.give(np.zeros((20, 20, 3), np.uint8))
            time.sleep(0.01)
            return lane.trouble

        assert "No space left" in wait_for(fed)
        bad.error = None
        wait_for(lambda: not fed() and bad.results)
    assert lane.ledger.tally().dropped["failed"] >= 1
    assert len(good.results) > len(bad.results)


def test_a_closed_pipe_ends_its_output_and_the_last_one_ends_the_service(tmp_path):
    gone, source = Kept(), Script()
    gone.error = BrokenPipeError()
    with serving(source, null_model(tmp_path / "a"), gone) as (_, pipeline):
        assert pipeline.picture_wanted()
        source.give(np.zeros((20, 20, 3), np.uint8))
        wait_for(lambda: pipeline.all_outputs_ended)
        assert not pipeline.picture_wanted()  # nobody looks at frames any more
    assert gone.closed


def test_a_reload_takes_the_model_on_disk_without_losing_the_stream(tmp_path):
    kept, source = Kept(), Script()
    model = null_model(tmp_path / "a")
    with serving(source, model, kept) as (service, pipeline):
        source.give(np.zeros((20, 20, 3), np.uint8))
        wait_for(lambda: kept.results)
        service.reload()
        wait_for(lambda: service.loader.loads == 1)
        wait_for(lambda: pipeline.inference.model is not model)
        (tmp_path / "a/model.tflite").write_bytes(b"damaged")
        service.reload()
        wait_for(lambda: service.loader.failures == 1)
        source.give(np.zeros((20, 20, 3), np.uint8))
        wait_for(lambda: len(kept.results) == 2)  # the model in use is not touched by a bad one on disk
        assert "sha256 differs" in service.describe()["reloads"]["trouble"]


def test_too_slow_falls_back_to_the_smaller_artifact_and_to_fewer_frames(tmp_path):
    small = proven_artifact(tmp_path / "small")
    kept, source = Kept(), Script()
    settings = {"fallback": small, "limits": Limits(late_share=0.5)}
    with serving(source, null_model(tmp_path / "a"), kept, **settings) as (service, pipeline):
        for second in range(8):
            if service.policy.observe(1000 + second, None, 1.0):
                service._apply()
        assert service.describe()["policy"]["step"] == "half"
        wait_for(lambda: pipeline.inference.model and pipeline.inference.model.choice.artifact == small)
        for _ in range(20):
            source.give(np.zeros((20, 20, 3), np.uint8))
            time.sleep(0.01)
        wait_for(lambda: pipeline.ledger.tally().entered == 20 and pipeline.ledger.tally().in_flight == 0)
    assert pipeline.ledger.tally().dropped["paced"] == 10


@pytest.mark.parametrize("every_frame", [False, True])
def test_work_that_takes_too_long_lowers_no_frame_rate_and_neither_does_a_folder_that_is_late(
    tmp_path, monkeypatch, every_frame
):
    monkeypatch.setattr(degradation, "SUSTAINED_S", 0.2)
    monkeypatch.setattr(main_loop, "_EVERY_S", 0.05)
    kept, source = Kept(), Script()
    settings = {"deadline_ms": 20.0, "keep_all": every_frame, "stall_s": 60.0}
    with serving(source, broken_model(tmp_path, delay=0.03), kept, **settings) as (service, pipeline):
        wait_for(lambda: source.give(scene(0)) or time.sleep(0.02) or len(kept.results) > 30)
        assert all(each.late for each in kept.results)
        reason = "" if every_frame else "100% of frames late, the limit is 20%; fewer frames would not help"
        wait_for(lambda: service.policy.reason.startswith(reason))
        assert service.policy.step.divisor == 1
        source.queue.queue.clear()
    assert "paced" not in pipeline.ledger.tally().dropped


def test_a_late_mask_is_marked_and_counted(tmp_path):
    kept, source = Kept(), Script()
    with serving(source, broken_model(tmp_path, delay=0.05), kept, deadline_ms=10) as (_, pipeline):
        source.give(np.zeros((20, 20, 3), np.uint8))
        result = wait_for(lambda: kept.results)[0]
    assert result.late
    assert result.age_ms >= 50
    assert pipeline.telemetry.late == 1


def test_a_thread_that_meets_a_bug_of_ours_ends_the_service_with_that_bug(tmp_path):
    class Buggy(Script):
        def read(self, _):
            raise ZeroDivisionError("ours")

    with pytest.raises(ZeroDivisionError), serving(Buggy(), null_model(tmp_path / "a"), Kept()) as (_, pipeline):
        assert pipeline.ended.wait(240)


def test_a_model_that_fails_its_golden_frame_is_refused(tmp_path):
    artifact = proven_artifact(tmp_path / "a", wrong=True)
    choice = dataclasses.replace(null_model(tmp_path / "good").choice, artifact=artifact)
    with pytest.raises(Exception, match=r"fails its self-test: 0.00% of the golden labels agree"):
        tiny_runner.open_model(choice)
    assert tiny_runner.open_model(dataclasses.replace(choice, self_test=False)).golden is None


def test_reduced_decoding_is_used_while_it_gives_the_same_labels_and_no_longer(tmp_path):
    kept, source = Kept(), Script()
    grey = tiny_runner.jpeg(np.full((240, 320, 3), 90, np.uint8))
    noisy = tiny_runner.jpeg(np.random.default_rng(0).integers(0, 256, (240, 320, 3), dtype=np.uint8))
    settings = {"reduced_decode": True, "keep_all": True}
    with serving(source, null_model(tmp_path / "a"), kept, **settings) as (_, pipeline):
        pipeline.reduced.every = 1
        source.give(Encoded(grey, "grey"))
        wait_for(lambda: pipeline.reduced.lowest_agreement is not None)
        assert pipeline.reduced.allowed
        wait_for(lambda: kept.results)  # an output has a thread of its own
        assert kept.results[0].picture.size == (80, 60)  # an eighth would be below the network's 32 x 48
        assert kept.results[0].mask.shape == (240, 320)
        source.give(Encoded(noisy, "noisy"))
        wait_for(lambda: not pipeline.reduced.allowed)
        source.give(Encoded(noisy, "noisy"))
        wait_for(lambda: len(kept.results) == 3)
        assert kept.results[2].picture.size == (320, 240)


def test_settings_out_of_range_are_refused():
    with pytest.raises(DataError, match="deadline_ms is 0"):
        tiny_runner.PipelineSettings(deadline_ms=0)


def test_a_policy_with_one_step_stays_on_it():
    policy = Policy(Limits(), (Step("full"),))
    assert not any(policy.observe(second, 120.0, 1.0) for second in range(20))
