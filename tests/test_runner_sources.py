import contextlib
import io
import os
import socket
import threading
import time

import numpy as np
import pytest
import tiny_artifacts as tiny
import tiny_runner
from camera import FAULTS, Camera, part
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from tiny_runner import Kept, jpeg, null_model, serving, wait_for

from segfast_edge.contract.shared.images import write_picture
from segfast_edge.errors import DataError, TargetError
from targets.runner.decoding import MAX_PIXELS, Encoded
from targets.runner.frames import Broken
from targets.runner.inputs import EndOfInputError, InputLostError, InputOptions, open_input
from targets.runner.inputs._multipart import MAX_PART_BYTES, PartParser, boundary_of
from targets.runner.inputs.raw import RawFrames
from targets.runner.outputs._avi import AviFile

FRAMES = [jpeg(tiny.frame(48, 64, seed)) for seed in range(3)]


@pytest.fixture
def camera():
    camera = Camera(FRAMES, fps=60)
    yield camera
    camera.unplug()


def test_a_network_camera_is_read_and_its_frames_decode(camera, tmp_path):
    kept = Kept()
    with serving(open_input(camera.url, InputOptions()), null_model(tmp_path / "a"), kept):
        wait_for(lambda: len(kept.results) > 5)
    assert {result.mask.shape for result in kept.results} == {(48, 64)}


def test_a_camera_that_is_unplugged_comes_back_by_itself(camera, tmp_path):
    kept, source = Kept(), open_input(camera.url, InputOptions())
    with serving(source, null_model(tmp_path / "a"), kept, stall_s=0.3) as (_, pipeline):
        wait_for(lambda: kept.results)
        camera.unplug()
        wait_for(lambda: pipeline.state()[0] == "no_frames")
        assert "does not answer" in wait_for(lambda: pipeline.reader.trouble)
        camera.plug()
        seen = len(kept.results)
        wait_for(lambda: len(kept.results) > seen + 3)
        assert pipeline.state()[0] == "running"


def test_a_camera_that_stalls_is_lost_after_its_silence_and_read_again(camera, tmp_path):
    kept, source = Kept(), open_input(camera.url, InputOptions(silence_s=0.3))
    with serving(source, null_model(tmp_path / "a"), kept, stall_s=0.2) as (_, pipeline):
        wait_for(lambda: kept.results)
        camera.fault = "stall"
        wait_for(lambda: "was silent for 0.3 s" in pipeline.reader.trouble)
        camera.fault = None
        seen = len(kept.results)
        wait_for(lambda: len(kept.results) > seen)


@pytest.mark.parametrize("fault", [fault for fault in FAULTS if fault != "stall"])
def test_no_fault_of_a_camera_ends_the_stream(camera, tmp_path, fault):
    kept = Kept()
    with serving(open_input(camera.url, InputOptions()), null_model(tmp_path / "a"), kept) as (_, pipeline):
        camera.fault = fault
        before = camera.sent
        wait_for(lambda: camera.sent > before + 5)
        camera.fault = None
        wait_for(lambda: camera.sent > before + 10)
        seen = len(kept.results)
        wait_for(lambda: len(kept.results) > seen + 2)
        corrupt = pipeline.ledger.tally().corrupt
    if fault in ("corrupt", "cut", "empty"):
        assert corrupt > 0


def test_a_camera_that_is_not_there_is_lost_not_fatal(camera):
    camera.unplug()
    with pytest.raises(InputLostError, match=r"http://127.0.0.1:\d+/stream does not answer"):
        open_input(camera.url, InputOptions()).connect()


def test_a_password_is_sent_and_never_said():
    source = open_input("http://me:secret@127.0.0.1:9/video?x=1", InputOptions())
    assert source._headers() == {"Authorization": "Basic bWU6c2VjcmV0"}
    with pytest.raises(InputLostError) as caught:
        source.connect()
    assert "secret" not in str(caught.value)


STREAM = b"".join(part(frame, None) for frame in FRAMES) + b"--camera--"


@given(st.lists(st.integers(1, 4000), max_size=30))
def test_parts_are_the_same_however_the_bytes_arrive(cuts):
    parser, position, parts = PartParser(b"--camera"), 0, []
    for cut in [*cuts, len(STREAM)]:
        parts += parser.feed(STREAM[position : position + cut])
        position += cut
    parts += parser.feed(STREAM[position:])
    assert [part.data for part in parts] == FRAMES


@pytest.mark.parametrize("fault", ["unsized", "noise"])
def test_parts_without_a_length_and_noise_between_parts_are_read(fault):
    stream = b"".join(part(frame, fault) for frame in FRAMES) + b"--camera--"
    assert [each.data for each in PartParser(b"--camera").feed(stream)] == FRAMES


def test_a_part_that_claims_too_much_or_never_ends_is_refused_and_memory_stays_bounded():
    parser = PartParser(b"--b")
    claims = list(parser.feed(b"--b\r\nContent-Length: 99999999999\r\n\r\n"))
    assert isinstance(claims[0], Broken)
    endless = PartParser(b"--b")
    found = list(endless.feed(b"--b\r\n\r\n"))
    block = bytes(1 << 20)
    for _ in range(MAX_PART_BYTES // len(block) + 2):
        found += endless.feed(block)
        assert endless.held_bytes <= MAX_PART_BYTES + len(block)
    assert len(found) == 1
    assert isinstance(found[0], Broken)
    header = PartParser(b"--b")
    for _ in range(100):
        list(header.feed(b"--b" + b"x" * 4096))
    assert header.held_bytes < 32768


@pytest.mark.parametrize(
    ("content_type", "boundary"),
    [
        ("multipart/x-mixed-replace; boundary=abc", b"--abc"),
        ('Multipart/x-mixed-replace;boundary="--abc"', b"--abc"),
        ("multipart/x-mixed-replace", None),
        ("text/html", None),
        ("multipart/x-mixed-replace; boundary=" + "x" * 300, None),
    ],
)
def test_the_boundary_is_read_as_cameras_write_it(content_type, boundary):
    assert boundary_of(content_type) == boundary


@pytest.fixture
def pipe():
    ends = os.pipe()
    yield ends
    for end in ends:
        with contextlib.suppress(OSError):  # the test may have closed it
            os.close(end)


def test_raw_frames_are_cut_from_a_pipe_and_a_rest_is_corrupt(pipe):
    frame = tiny.frame(6, 8)
    source = RawFrames(pipe[0], InputOptions(raw_size=(6, 8)))
    source.connect()
    assert source.read(0.01) is None
    os.write(pipe[1], frame.tobytes() + frame.tobytes()[:50])
    assert np.array_equal(source.read(1).payload.decode(None)[0], frame)
    assert source.read(0.01) is None
    os.close(pipe[1])
    with pytest.raises(DataError, match="input ended after 50 of 144 bytes"):
        source.read(1).payload.decode(None)
    with pytest.raises(EndOfInputError):
        source.read(1)


def test_closing_wakes_a_reader_of_raw_frames(pipe):
    source = RawFrames(pipe[0], InputOptions(raw_size=(6, 8)))
    source.interrupt()
    with pytest.raises(EndOfInputError):
        source.read(60)


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("-", {}, "say how large with --raw"),
        ("nowhere.png", {}, "no such picture: nowhere.png"),
        ("nowhere", {}, "no input 'nowhere'. An input is: "),
        ("http://", {}, "names no host"),
        ("http://h:99999/", {}, "not a valid address"),
        ("http://a..b/", {}, "not a valid address"),
        (f"http://{'a' * 70}.de/", {}, "not a valid address"),
        ("test:4x4", {}, "for example test:1280x720"),
    ],
)
def test_inputs_that_are_none_are_refused_with_what_is_allowed(text, options, message):
    with pytest.raises(DataError, match=message):
        open_input(text, InputOptions(**options))


@pytest.mark.parametrize(
    ("text", "asked"),
    [
        ("/ström?kanal=ü 1", b"/str%C3%B6m?kanal=%C3%BC%201"),
        ("/a%20b?c=%2F", b"/a%20b?c=%2F"),
        ("/a+b;c=d?e", b"/a+b;c=d?e"),
    ],
)
def test_an_address_is_escaped_as_a_browser_would(text, asked):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        source = open_input(f"http://127.0.0.1:{listener.getsockname()[1]}{text}", InputOptions(silence_s=0.2))
        with pytest.raises(InputLostError):
            source.connect()
        with listener.accept()[0] as camera:
            assert camera.recv(4096).startswith(b"GET " + asked + b" HTTP/1.1\r\n")


def test_a_camera_that_trickles_without_ever_finishing_a_frame_is_lost():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        source = open_input(f"http://127.0.0.1:{listener.getsockname()[1]}/", InputOptions(silence_s=0.2))

        def trickle():
            with listener.accept()[0] as camera, contextlib.suppress(OSError):
                camera.sendall(
                    b"HTTP/1.1 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=b\r\n\r\n--b\r\n\r\n"
                )
                while True:
                    camera.sendall(b"x")
                    time.sleep(0.02)

        threading.Thread(target=trickle, daemon=True).start()
        source.connect()
        with pytest.raises(InputLostError, match=r"no whole frame for 0\.8 s"):
            source.read(1)
        source.close()


def test_what_is_no_picture_is_said_in_the_same_words_each_time():
    said = set()
    for _ in range(3):
        with pytest.raises(DataError) as refusal:
            Encoded(b"no picture", "frame").decode(None)
        said.add(str(refusal.value))
    assert said == {"frame cannot be decoded: it does not begin as JPEG, PNG, PPM, BMP, WEBP, TIFF do"}


def test_a_folder_at_a_rate_behaves_like_a_camera_and_repeats(tmp_path):
    source = open_input(str(tiny_runner.pictures(tmp_path / "in", 2)), InputOptions(rate=50, repeat=True))
    assert source.live
    started = time.monotonic()
    names = [source.read(1).name for _ in range(6)]
    assert names == ["000", "001"] * 3
    assert time.monotonic() - started >= 0.1
    source.interrupt()
    with pytest.raises(EndOfInputError):
        source.read(1)


def test_a_picture_that_vanishes_is_a_corrupt_frame(tmp_path):
    folder = tiny_runner.pictures(tmp_path / "in", 2)
    source = open_input(str(folder), InputOptions())
    (folder / "000.png").unlink()
    assert isinstance(source.read(1).payload, Broken)
    assert isinstance(source.read(1).payload, Encoded)


def test_the_test_pattern_moves(tmp_path):
    source = open_input("test:64x48", InputOptions(rate=1000))
    first, second = (source.read(1).payload.decode(None)[0] for _ in range(2))
    assert first.size == (64, 48)
    assert not np.array_equal(first, second)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("at_least", [None, (100, 70)])
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_a_picture_that_lies_on_its_side_is_turned_and_so_is_its_size(orientation, at_least, kind):
    exif = Image.Exif()
    exif[0x0112] = orientation
    stream = io.BytesIO()
    Image.fromarray(tiny.frame(240, 320)).save(stream, kind, exif=exif)
    picture, size = Encoded(stream.getvalue(), "x").decode(at_least)
    assert size == ((320, 240) if orientation > 4 else (240, 320))
    scale = 2 if at_least and kind == "JPEG" else 1  # a quarter would be below 100 x 70 whichever way it lies
    assert (picture.height * scale, picture.width * scale) == size


def test_a_picture_bomb_is_refused_before_it_is_decoded(tmp_path):
    side = 1 + int(MAX_PIXELS**0.5)
    write_picture(tmp_path / "bomb.png", np.zeros((side, side), np.uint8))
    with pytest.raises(DataError, match="at most 9000000 pixels"):
        Encoded((tmp_path / "bomb.png").read_bytes(), "bomb").decode(None)


def test_a_video_file_is_read_frame_by_frame_with_colours_the_right_way_round(tmp_path):
    pytest.importorskip("cv2", reason="OpenCV is an optional extra of the device")
    frame = np.zeros((48, 64, 3), np.uint8)
    frame[..., 0] = 250  # red
    video = AviFile(tmp_path / "a.avi", (48, 64), fps=25)
    for index in range(5):
        video.append(jpeg(frame, 95), index * 40_000_000)
    video.close()
    source = open_input(str(tmp_path / "a.avi"), InputOptions())
    assert not source.live
    source.connect()
    pixels = [source.read(1).payload.decode(None)[0] for _ in range(5)]
    assert np.allclose(pixels[4], frame, atol=8)
    with pytest.raises(EndOfInputError):
        source.read(1)
    again = open_input(str(tmp_path / "a.avi"), InputOptions(repeat=True, rate=1000))
    again.connect()
    assert [again.read(1).name for _ in range(12)][-1] == "000012"


def test_a_file_that_is_no_video_and_a_camera_that_is_not_there_are_told_apart(tmp_path):
    pytest.importorskip("cv2", reason="OpenCV is an optional extra of the device")
    (tmp_path / "a.mp4").write_bytes(b"no video")
    with pytest.raises(DataError, match="is not a video that OpenCV can read"):
        open_input(str(tmp_path / "a.mp4"), InputOptions()).connect()
    with pytest.raises(InputLostError, match="/dev/video99 does not open"):
        open_input("/dev/video99", InputOptions()).connect()


def test_without_opencv_the_refusal_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "cv2", None)
    with pytest.raises(TargetError, match="Run: pip install opencv-python-headless"):
        open_input("0", InputOptions())
