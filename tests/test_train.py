import json
from dataclasses import replace

import pytest
import tiny_networks
import torch
from tiny_training import CPU, FULL, PAPER, Recorder, interrupt, run, same, settings, weights

from segfast_edge.errors import SegfastError
from segfast_edge.model.checkpoint import Checkpoint
from segfast_edge.training.distributed import World
from segfast_edge.training.prepare import read_data
from segfast_edge.training.run_folder import RunFolder


def test_a_training_leaves_state_checkpoint_metrics_configuration_and_curves(tmp_path):
    outcome = run(settings(), tmp_path / "run")
    assert sorted(p.name for p in (tmp_path / "run").iterdir()) == [
        "best.pt",
        "config.json",
        "curves.png",
        "last.pt",
        "metrics.jsonl",
    ]
    records = [json.loads(line) for line in (tmp_path / "run/metrics.jsonl").read_text().splitlines()]
    assert [record["epoch"] for record in records] == [1, 2, 3]
    assert records[-1]["step"] == 12  # nine frames make four whole batches of two
    best = max(records, key=lambda record: record["val"]["miou"])
    assert (outcome.best_epoch, outcome.ending) == (best["epoch"], "finished")
    assert all(record["protocol"] == "paper: 32x48, 12 classes, void counted as a class" for record in records)


def test_the_checkpoint_is_the_best_epochs_network_with_its_protocol(tmp_path):
    outcome = run(settings(), tmp_path / "run")
    checkpoint = Checkpoint.load(tmp_path / "run/best.pt")
    assert checkpoint.protocol == outcome.protocol
    assert checkpoint.provenance["epoch"] == outcome.best_epoch
    assert checkpoint.provenance["val"]["miou"] == pytest.approx(outcome.best_miou, abs=1e-6)
    assert checkpoint.module()(torch.zeros(1, 3, 32, 48)).shape == (1, 12, 32, 48)


def test_it_learns(tmp_path):
    recorder = Recorder()
    run(settings(PAPER.changed({"epochs": 18, "lr": 1e-2})), tmp_path / "run", recorder)
    assert recorder.records[-1]["loss"] < 0.6 * recorder.records[0]["loss"]
    assert recorder.records[-1]["val"]["miou"] > 2 * recorder.records[0]["val"]["miou"]


@pytest.mark.parametrize("model", ["tiny_networks:plain", "tiny_networks:normalised"])
@pytest.mark.parametrize("at", [(1, 3), (2, 2), (1, 4)], ids=["first epoch", "second epoch", "last step of an epoch"])
def test_interrupted_and_resumed_gives_the_same_bits_as_uninterrupted(tmp_path, at, model):
    whole, parts = settings(FULL, model), tmp_path / "parts"
    run(whole, tmp_path / "whole")
    assert run(whole, parts, Recorder(at, interrupt)).ending == "interrupted"
    rest = Recorder()
    assert run(whole, parts, rest, resume=True).ending == "finished"
    assert rest.steps[:1] != [(1, 1)]
    for name in ("module", "average"):
        assert same(weights(tmp_path / "whole", name), weights(parts, name))
    timed = {"seconds", "val_seconds", "elapsed_s", "images_per_s"}
    histories = [RunFolder(folder).history() for folder in (tmp_path / "whole", parts)]
    for one, other in zip(*histories, strict=True):
        assert {k: v for k, v in one.items() if k not in timed} == {k: v for k, v in other.items() if k not in timed}


def test_a_killed_training_continues_from_its_last_epoch_to_the_same_bits(tmp_path):
    def die():
        raise MemoryError

    chosen = settings(FULL, "tiny_networks:normalised")
    run(chosen, tmp_path / "whole")
    with pytest.raises(MemoryError):
        run(chosen, tmp_path / "killed", Recorder((3, 2), die))
    with (tmp_path / "killed/metrics.jsonl").open("a") as stream:
        stream.write('{"epoch": 3, "lo')  # and the power went while a line was written
    rest = Recorder()
    run(chosen, tmp_path / "killed", rest, resume=True)
    assert rest.steps[0] == (3, 1)
    assert same(weights(tmp_path / "whole"), weights(tmp_path / "killed"))
    assert [r["epoch"] for r in RunFolder(tmp_path / "killed").history()] == [1, 2, 3]


def test_a_long_epoch_is_saved_on_the_way(tmp_path, monkeypatch):
    def die():
        raise MemoryError

    monkeypatch.setattr("segfast_edge.training.train.SAVE_EVERY_S", 0.0)
    chosen = settings(FULL, "tiny_networks:normalised")
    run(chosen, tmp_path / "whole")
    with pytest.raises(MemoryError):
        run(chosen, tmp_path / "killed", Recorder((2, 3), die))
    rest = Recorder()
    run(chosen, tmp_path / "killed", rest, resume=True)
    assert rest.steps[0] == (2, 3)
    assert same(weights(tmp_path / "whole"), weights(tmp_path / "killed"))


def test_the_seed_decides_everything_and_loading_processes_nothing(tmp_path):
    chosen = settings(FULL, "tiny_networks:normalised")
    variants = {
        "one": chosen,
        "again": replace(chosen, hardware=replace(CPU, workers=1)),
        "other": replace(chosen, seed=1),
    }
    for name, variant in variants.items():
        run(variant, tmp_path / name)
    assert same(weights(tmp_path / "one"), weights(tmp_path / "again"))
    assert not same(weights(tmp_path / "one"), weights(tmp_path / "other"))


def test_more_epochs_may_be_asked_for_when_resuming(tmp_path):
    run(settings(PAPER.changed({"epochs": 5})), tmp_path / "whole")
    run(settings(), tmp_path / "parts")
    run(settings(PAPER.changed({"epochs": 5})), tmp_path / "parts", resume=True)
    assert same(weights(tmp_path / "whole"), weights(tmp_path / "parts"))


def test_early_stopping_waits_for_its_patience(tmp_path):
    stuck = PAPER.changed({"epochs": 50, "lr": 1e-12, "patience": 2})
    outcome = run(settings(stuck), tmp_path / "run")
    assert (outcome.ending, outcome.epochs) == ("stopped early", outcome.best_epoch + 2)


def test_training_starts_from_a_checkpoints_weights(tmp_path):
    run(settings(), tmp_path / "first")
    still = PAPER.changed({"epochs": 1, "lr": 1e-12})
    run(settings(still, start=tmp_path / "first/best.pt"), tmp_path / "second")
    expected = Checkpoint.load(tmp_path / "first/best.pt").weights
    for name, value in weights(tmp_path / "second").items():
        assert torch.allclose(value, expected[name], atol=1e-7)


def test_a_start_of_other_classes_keeps_what_is_known_of_each_class_by_its_name(tmp_path):
    run(settings(protocol="standard"), tmp_path / "first")
    still = PAPER.changed({"epochs": 1, "lr": 1e-12})
    run(settings(still, start=tmp_path / "first/best.pt"), tmp_path / "second")
    before, after = Checkpoint.load(tmp_path / "first/best.pt").weights, weights(tmp_path / "second")
    wider = [name for name in after if after[name].shape != before[name].shape]
    assert wider
    for name, value in after.items():
        kept = value[:11] if name in wider else value
        assert torch.allclose(kept, before[name], atol=1e-7)


def test_val_is_looked_at_as_often_as_asked_and_after_the_last_epoch(tmp_path):
    recorder = Recorder()
    run(settings(PAPER.changed({"epochs": 5, "val_every": 2})), tmp_path / "run", recorder)
    assert [record["epoch"] for record in recorder.records if record["val"]] == [2, 4, 5]
    assert (tmp_path / "run/curves.png").is_file()


def test_smaller_windows_train_on_smaller_pictures_and_are_validated_whole():
    material = read_data(settings(FULL.changed({"crop": 0.7})), World(), lambda *_: None)
    assert material.train[0, 0][0].shape == (16, 32, 3)
    assert material.val[0, 0][0].shape == (32, 48, 3)


def test_a_teacher_changes_what_is_learnt_and_must_know_the_same_classes(tmp_path):
    run(settings(), tmp_path / "teacher")
    run(settings(), tmp_path / "alone")
    teacher = tmp_path / "teacher/best.pt"
    run(settings(seed=0, teacher=teacher), tmp_path / "taught")
    assert not same(weights(tmp_path / "alone"), weights(tmp_path / "taught"))
    with pytest.raises(SegfastError, match=r"teacher .* has 12 classes .* this training has 11"):
        run(settings(teacher=teacher, protocol="standard"), tmp_path / "other")


@pytest.mark.parametrize(
    "change", [{"loss": "ohem"}, {"loss": "ce+dice"}, {"class_weights": "enet", "optimiser": "sgd"}]
)
def test_every_loss_trains(tmp_path, change):
    recorder = Recorder()
    run(settings(PAPER.changed({**change, "lr": 1e-2, "epochs": 14})), tmp_path / "run", recorder)
    assert recorder.records[-1]["val"]["miou"] > recorder.records[0]["val"]["miou"]


def test_bf16_autocast_learns_and_is_resumed_exactly(tmp_path):
    half = replace(settings(FULL, "tiny_networks:normalised"), hardware=replace(CPU, precision="bf16"))
    run(half, tmp_path / "whole")
    run(half, tmp_path / "parts", Recorder((2, 1), interrupt))
    run(half, tmp_path / "parts", resume=True)
    assert same(weights(tmp_path / "whole"), weights(tmp_path / "parts"))
    assert all(value.dtype != torch.bfloat16 for value in weights(tmp_path / "whole").values())


def test_tensorboard_events_hold_the_same_figures(tmp_path):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    chosen = replace(settings(), hardware=replace(CPU, tensorboard=True))
    run(chosen, tmp_path / "run")
    events = accumulator.EventAccumulator(str(tmp_path / "run/tensorboard")).Reload()
    logged = [(event.step, event.value) for event in events.Scalars("val/miou")]
    expected = [(record["epoch"], record["val"]["miou"]) for record in RunFolder(tmp_path / "run").history()]
    assert [epoch for epoch, _ in logged] == [epoch for epoch, _ in expected]
    assert [miou for _, miou in logged] == pytest.approx([miou for _, miou in expected])


@pytest.mark.slow
def test_a_compiled_network_trains_and_its_checkpoint_is_an_ordinary_one(tmp_path):
    compiled = replace(settings(), hardware=replace(CPU, compile=True))
    run(compiled, tmp_path / "compiled")
    run(settings(), tmp_path / "plain")
    for name, value in weights(tmp_path / "plain").items():
        torch.testing.assert_close(weights(tmp_path / "compiled")[name], value, rtol=1e-3, atol=1e-4)
    assert Checkpoint.load(tmp_path / "compiled/best.pt").module()


def test_a_plain_state_dict_starts_a_training_and_what_does_not_match_is_named(tmp_path, caplog):
    torch.manual_seed(7)
    drawn = tiny_networks.plain(12).state_dict()
    torch.save({"state_dict": {f"module.{name}": value for name, value in drawn.items()}}, tmp_path / "whole.pth")
    torch.save({**drawn, "layers.2.bias": torch.zeros(5), "extra": torch.ones(1)}, tmp_path / "odd.pth")
    still = PAPER.changed({"epochs": 1, "lr": 1e-12})
    run(settings(still, start=tmp_path / "whole.pth"), tmp_path / "first")
    for name, value in weights(tmp_path / "first").items():
        assert torch.allclose(value, drawn[name], atol=1e-7)
    odd = settings(still, start=tmp_path / "odd.pth")
    with pytest.raises(
        SegfastError, match=r"1 of another shape: layers\.2\.bias; 1 unknown .*: extra\. Pass --strict no"
    ):
        run(odd, tmp_path / "second")
    run(replace(odd, strict=False), tmp_path / "second")
    assert "3 of 4 weights match" in caplog.text
    assert torch.allclose(weights(tmp_path / "second")["layers.0.weight"], drawn["layers.0.weight"], atol=1e-7)
    torch.save({"nothing": torch.ones(1)}, tmp_path / "none.pth")
    with pytest.raises(SegfastError, match=r"no weight in .*none\.pth has the name and shape"):
        run(replace(odd, start=tmp_path / "none.pth", strict=False), tmp_path / "third")


def test_weights_of_another_network_start_a_training_if_that_is_asked_for(tmp_path):
    run(settings(PAPER.changed({"epochs": 1})), tmp_path / "first")
    other = settings(
        PAPER.changed({"epochs": 1, "lr": 1e-12}), "tiny_networks:normalised", start=tmp_path / "first/best.pt"
    )
    with pytest.raises(SegfastError, match=r"holds tiny_networks:plain; this training is of .* --strict no"):
        run(other, tmp_path / "second")
    run(replace(other, strict=False), tmp_path / "second")
    expected = Checkpoint.load(tmp_path / "first/best.pt").weights["layers.0.weight"]
    assert torch.allclose(weights(tmp_path / "second")["layers.0.weight"], expected, atol=1e-7)
