import io
import json
import multiprocessing
import os
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import tiny_artifacts as tiny
from PIL import Image
from tiny_runner import result

from segfast_edge.contract.shared.images import read_labels
from segfast_edge.errors import DataError
from targets.runner.frames import Notice
from targets.runner.output_thread import Lane
from targets.runner.outputs import OutputContext, kinds, open_output
from targets.runner.outputs._avi import AviFile
from targets.runner.shared_mask import HEADER_BYTES, MaskReader, MaskWriter
from targets.runner.telemetry import Telemetry

NOTICE = Notice("no_result", "the engine failed", 5)


def opened(text, stdout=1):
    return open_output(text, OutputContext(Telemetry(), stdout))


def test_masks_are_class_ids_at_the_frames_size_and_old_ones_go(tmp_path):
    output = opened(f"masks:{tmp_path},keep=3")
    for number in range(6):
        output.write(result(number))
    output.notice(NOTICE)
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"{n:06d}.mask.png" for n in (3, 4, 5)]
    assert np.array_equal(read_labels(tmp_path / "000005.mask.png"), result(5).mask)


@pytest.mark.parametrize(("kind", "suffix"), [("masks", ".mask.png"), ("overlays", ".overlay.jpg")])
def test_a_restart_overwrites_no_picture_and_the_pictures_of_two_runs_do_not_mix(tmp_path, kind, suffix):
    runs = [(1, 4), (1, 6), (1, 2)]
    for first, end in runs:
        output = opened(f"{kind}:{tmp_path}")
        for number in range(first, end):
            output.write(result(number, name="same" if number == 3 else f"{number:06d}"))
        before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    expected = [f"{n}{suffix}" for n in ("000001", "000002", "same")]
    expected += [f"run0002-{n}{suffix}" for n in ("000001", "000002", "000004", "000005", "same")]
    assert sorted(path.name for path in before) == sorted([*expected, f"run0003-000001{suffix}"])
    again = opened(f"{kind}:{tmp_path}")
    for number in (1, 2, 3):
        again.write(result(number, name="a"))  # a folder read over and over, or a.jpg beside a.png
    assert {path.name for path in tmp_path.iterdir()} - {path.name for path in before} == {
        f"run0004-{name}{suffix}" for name in ("a", "a-2", "a-3")
    }
    assert all(path.read_bytes() == data for path, data in before.items())


def test_keep_counts_the_pictures_of_earlier_runs_even_if_the_clock_went_back(tmp_path):
    first = opened(f"masks:{tmp_path}")
    for number in (1, 2, 3):
        first.write(result(number))
    for path in tmp_path.iterdir():
        os.utime(path, (4e9 + int(path.name[:6]), 4e9 + int(path.name[:6])))
    second = opened(f"masks:{tmp_path},keep=3")
    second.write(result(1))
    second.write(result(2))
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "000003.mask.png", "run0002-000001.mask.png", "run0002-000002.mask.png",
    ]  # fmt: skip


def test_a_restart_overwrites_no_video_and_keep_bounds_the_files_of_all_runs(tmp_path):
    (tmp_path / "a-b.avi").write_bytes(b"of another recording")
    seen = {}
    for run in (1, 2, 3):
        output = opened(f"video:{tmp_path}/a.avi,fps=5")
        output.write(result(run))
        output.write(result(run, size=(20, 30)))  # another size is another file
        output.close()
        for path in tmp_path.iterdir():
            assert path.read_bytes() == seen.setdefault(path, path.read_bytes())
    assert sorted(path.name for path in seen) == [
        "a-2.avi",
        "a-3.avi",
        "a-4.avi",
        "a-5.avi",
        "a-6.avi",
        "a-b.avi",
        "a.avi",
    ]
    output = opened(f"video:{tmp_path}/a.avi,fps=5,keep=2")
    output.write(result(1))
    output.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a-6.avi", "a-7.avi", "a-b.avi"]


def test_lines_after_a_power_cut_begin_on_a_line_of_their_own(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"state": "running"}\n{"state": "runn')
    for number in (1, 2):
        output = opened(f"jsonl:{tmp_path}/a.jsonl")
        output.write(result(number))
        output.close()
    lines = (tmp_path / "a.jsonl").read_text().splitlines()
    assert [json.loads(line)["frame"] for line in lines[2:]] == [1, 2]


def test_a_video_is_forced_to_the_disk_every_two_seconds(tmp_path, monkeypatch):
    synced = []
    monkeypatch.setattr("targets.runner.outputs._avi.os", SimpleNamespace(fdatasync=synced.append))
    video = AviFile(tmp_path / "a.avi", (40, 60), fps=None)
    for number in range(1, 61):
        video.append(b"\xff\xd8\xff\xd9", 10**12 + number * 100_000_000)
    video.close()
    assert len(synced) == 3  # with the first frame, then every 20


def test_overlays_show_the_frame_through_the_mask(tmp_path):
    opened(f"overlays:{tmp_path}").write(result(1))
    with Image.open(tmp_path / "000001.overlay.jpg") as picture:
        assert picture.size == (60, 40)


def test_overlays_of_a_reduced_decode_have_the_frames_size(tmp_path):
    opened(f"overlays:{tmp_path}").write(result(1, picture=Image.fromarray(tiny.frame(20, 30))))
    with Image.open(tmp_path / "000001.overlay.jpg") as picture:
        assert picture.size == (60, 40)


def test_lines_say_what_a_program_needs_and_that_there_is_no_result(tmp_path):
    output = opened(f"jsonl:{tmp_path}/a.jsonl")
    output.write(result(7))
    output.notice(NOTICE)
    output.close()
    line, notice = map(json.loads, (tmp_path / "a.jsonl").read_text().splitlines())
    assert (line["frame"], line["state"], line["age_ms"], line["latency_ms"], line["late"]) == (
        7, "running", 20.0, 10.0, False,
    )  # fmt: skip
    assert sum(line["shares"].values()) == pytest.approx(1, abs=1e-3)
    assert set(line["ahead"]) == {"drivable", "free"}
    assert notice == {"state": "no_result", "frame": None, "reason": "the engine failed", "at_ns": 5}


def test_a_line_that_does_not_fit_on_the_disk_is_taken_back(tmp_path):
    resource = pytest.importorskip("resource")
    output = opened(f"jsonl:{tmp_path}/a.jsonl")
    output.write(result(1))
    whole = (tmp_path / "a.jsonl").stat().st_size
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (whole + 20, before[1]))
    try:
        with pytest.raises(OSError, match="too large"):
            output.write(result(2))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert (tmp_path / "a.jsonl").stat().st_size == whole
    output.write(result(3))
    output.close()
    assert [json.loads(line)["frame"] for line in (tmp_path / "a.jsonl").read_text().splitlines()] == [1, 3]


def test_a_full_disk_is_an_error_that_the_lane_survives():
    lane = Lane("full", opened("jsonl:/dev/full"), wait=True, crashed=pytest.fail)
    lane.start()
    for number in range(3):
        lane.offer(result(number))
    assert lane.finish(5)
    assert "No space left" in lane.trouble
    assert lane.ledger.tally().dropped == {"failed": 1, "resting": 2}
    assert lane.ledger.tally().balanced


def test_a_file_of_lines_turns_over_before_it_fills_the_disk(tmp_path, monkeypatch):
    monkeypatch.setattr("targets.runner.outputs.jsonl.MAX_FILE_BYTES", 1000)
    output = opened(f"jsonl:{tmp_path}/a.jsonl")
    for number in range(1, 6):
        output.write(result(number))
    output.close()
    frames = [
        json.loads(line)["frame"]
        for name in ("a.jsonl.1", "a.jsonl")
        for line in (tmp_path / name).read_text().splitlines()
    ]
    assert frames == sorted(frames)
    assert frames[-1] == 5


def test_a_pipe_carries_whole_pictures_and_255_where_there_is_no_result(tmp_path):
    read_end, write_end = os.pipe()
    output = opened("pipe:-", write_end)
    output.write(result(1))
    output.notice(NOTICE)
    os.close(write_end)
    with os.fdopen(read_end, "rb") as stream:
        data = stream.read()
    half = len(data) // 2
    masks = [np.asarray(Image.open(io.BytesIO(part))) for part in (data[:half], data[half:])]
    assert np.array_equal(masks[0], result(1).mask)
    assert masks[1].shape == (40, 60)
    assert (masks[1] == 255).all()


def test_a_pipe_without_a_reader_ends_its_lane_for_good():
    read_end, write_end = os.pipe()
    os.close(read_end)
    lane = Lane("pipe", opened("pipe:-", write_end), wait=True, crashed=pytest.fail)
    lane.start()
    lane.offer(result(1))
    lane.offer(result(2))
    assert lane.finish(5)
    os.close(write_end)
    assert lane.ended
    assert lane.ledger.tally().dropped == {"failed": 1, "closed": 1}


def test_a_video_is_one_that_opencv_plays_at_the_rate_of_the_frames(tmp_path):
    cv2 = pytest.importorskip("cv2", reason="OpenCV is an optional extra of the device")
    output = opened(f"video:{tmp_path}/a.avi")
    for number in range(1, 11):
        output.write(result(number, captured_ns=number * 50_000_000))
    output.write(result(11, size=(20, 30)))
    output.close()
    video = cv2.VideoCapture(str(tmp_path / "a.avi"))
    assert video.get(cv2.CAP_PROP_FPS) == pytest.approx(20, abs=0.1)
    assert video.get(cv2.CAP_PROP_FRAME_COUNT) == 10
    count = 0
    while video.read()[0]:
        count += 1
    assert count == 10
    assert (tmp_path / "a-2.avi").is_file()  # another size is another file


def test_a_video_cut_off_by_a_power_loss_still_plays(tmp_path):
    cv2 = pytest.importorskip("cv2", reason="OpenCV is an optional extra of the device")
    video = AviFile(tmp_path / "a.avi", (40, 60), fps=None, refresh=5)
    output = io.BytesIO()
    Image.fromarray(tiny.frame()).save(output, "JPEG")
    for number in range(12):
        video.append(output.getvalue(), number * 40_000_000)
    data = (tmp_path / "a.avi").read_bytes()
    video.close()
    (tmp_path / "cut.avi").write_bytes(data[:-100])
    capture, count = cv2.VideoCapture(str(tmp_path / "cut.avi")), 0
    while capture.read()[0]:
        count += 1
    assert count >= 10


@pytest.fixture
def shared():
    name = f"segfast-test-{os.getpid()}"
    yield name
    Path("/dev/shm", name).unlink(missing_ok=True)


def test_a_reader_gets_the_newest_mask_and_learns_that_there_is_none(shared):
    writer = MaskWriter(shared)
    reader = MaskReader(shared)
    assert (reader.read().state, reader.read().mask) == ("starting", None)
    writer.write(result(3))
    seen = reader.read()
    assert (seen.state, seen.frame, seen.captured_ns, seen.late) == ("running", 3, 3_000_000_000, False)
    assert np.array_equal(seen.mask, result(3).mask)
    writer.notice(NOTICE)
    assert (reader.read().state, reader.read().mask, reader.read().frame) == ("no_result", None, 3)
    writer.write(result(4, size=(100, 200), deadline_ms=1.0))  # larger: new memory under the same name
    seen = reader.read()
    assert seen.mask.shape == (100, 200)
    assert seen.late
    writer.close()
    assert reader.read().state == "ended"
    reader.close()


def test_a_restarted_writer_uses_the_memory_that_readers_have_open(shared):
    first = MaskWriter(shared)
    first.write(result(1))
    reader = MaskReader(shared)
    reader.read()
    del first  # as if it had been killed
    second = MaskWriter(shared)
    assert reader.read().state == "starting"
    second.write(result(2))
    assert reader.read().frame == 2
    second.close()
    reader.close()


def test_a_reader_in_another_process_never_sees_half_a_mask(shared):
    writer = MaskWriter(shared)
    uniform = [result(1, mask=np.full((200, 300), value, np.uint8)) for value in range(4)]
    writer.write(uniform[0])
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    child = context.Process(target=_read_many, args=(shared, results))
    child.start()
    stop = threading.Event()

    def write():
        index = 0
        while not stop.is_set():
            writer.write(uniform[index % 4])
            index += 1

    thread = threading.Thread(target=write)
    thread.start()
    torn, values = results.get(timeout=240)
    stop.set()
    thread.join()
    child.join(240)
    writer.close()
    assert torn == 0
    assert len(values) > 1


def _read_many(name, results):
    reader, torn, values = MaskReader(name), 0, set()
    until, reads = time.monotonic() + 20, 0
    while time.monotonic() < until and (reads < 300 or len(values) < 2):  # a busy machine may starve the writer
        reads += 1
        mask = reader.read().mask
        torn += len(np.unique(mask)) != 1
        values.add(int(mask[0, 0]))
    reader.close()
    results.put((torn, values))


def test_a_second_writer_is_refused_until_the_first_is_gone(shared):
    first = MaskWriter(shared)
    for size in ((20, 30), (40, 60)):  # larger frames get new memory, which is locked as well
        first.write(result(1, size=size))
        with pytest.raises(DataError, match=f"another runner writes shared memory {shared}"):
            MaskWriter(shared)
    reader = MaskReader(shared)
    assert reader.read().frame == 1
    first.close()
    MaskWriter(shared).close()
    reader.close()


def test_memory_of_another_program_is_left_alone(shared):
    Path("/dev/shm", shared).write_bytes(b"x" * HEADER_BYTES)
    with pytest.raises(DataError, match="belongs to another program"):
        MaskWriter(shared)
    with pytest.raises(DataError, match="was not written by a segfast-edge runner"):
        MaskReader(shared).read()
    with pytest.raises(DataError, match="is a runner with output"):
        MaskReader("segfast-none").read()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("mask:out", r"unknown output 'mask'. Did you mean 'masks'\?"),
        ("masks:", "needs a folder"),
        ("masks:/proc/none", "cannot write /proc/none"),
        ("masks:out,keep=0", "takes keep=N, N from 1"),
        ("jsonl:", "needs a file"),
        ("jsonl:/proc/none/a", "cannot write /proc/none/a"),
        ("pipe:x", "pipe:- writes to standard output"),
        ("video:a.mp4", "ends in .avi"),
        ("video:a.avi,fps=x", "takes fps=N"),
        ("shm:../x", "must be 1 to 100 letters"),
        ("web:x", "needs a port"),
    ],
)
def test_outputs_that_are_none_are_refused_with_what_is_allowed(text, message):
    with pytest.raises(DataError, match=message):
        opened(text)


def test_every_kind_of_output_says_how_it_is_written():
    assert kinds() == ["jsonl", "masks", "overlays", "pipe", "shm", "video", "web"]
