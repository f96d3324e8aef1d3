"""What comes from outside, by hypothesis: nothing but the errors that are promised may come of it."""

import contextlib
import io
import json
import socket
import threading

import numpy as np
import pytest
import tiny_artifacts as tiny
from fuzzing import tries
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image
from tiny_runner import jpeg

from segfast_edge.contract.manifest import Manifest
from segfast_edge.errors import ArtifactError, DataError
from targets.runner.decoding import FORMATS, Encoded
from targets.runner.inputs import InputLostError, InputOptions, open_input
from targets.runner.inputs._multipart import MAX_PART_BYTES, PartParser, boundary_of
from targets.runner.outputs import OutputContext, open_output
from targets.runner.telemetry import Telemetry

FEW = tries(100)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=10,
)
SOUND = tiny.manifest("tflite").to_json()


def paths(value, before=()):
    """Yield the way to every place in nested JSON."""
    yield before
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from paths(inner, (*before, key))


@given(st.sampled_from([path for path in paths(SOUND) if path]), JSON, st.booleans())
@tries(400)
@example(("input", "shape", 0), float("inf"), False)  # how Python reads 1e999
def test_no_manifest_makes_its_reader_fail_with_anything_but_a_refusal(path, value, drop):
    manifest = json.loads(json.dumps(SOUND))
    *way, last = path
    place = manifest
    for key in way:
        place = place[key]
    if drop:
        del place[last]
    else:
        place[last] = value
    with contextlib.suppress(ArtifactError):
        Manifest.from_json(manifest)


EXIF = Image.Exif()
EXIF.update({0x0112: 6, 0x010F: "a camera", 0x011A: 72.0, 0x0132: "2026:01:01 00:00:00"})
PICTURES = {}
for _name in FORMATS:
    for _options in ({}, {"exif": EXIF}):
        _stream = io.BytesIO()
        Image.fromarray(tiny.frame(24, 32)).save(_stream, _name, **_options)
        PICTURES[_name, bool(_options)] = _stream.getvalue()


@pytest.mark.filterwarnings("ignore")  # what Pillow says of damaged pictures
@given(st.sampled_from(sorted(PICTURES)), st.data(), st.sampled_from([None, (8, 8)]))
@tries(400)
def test_no_damage_to_a_picture_gives_anything_but_pixels_or_a_corrupt_frame(name, data, at_least):
    picture = bytearray(PICTURES[name])
    for _ in range(data.draw(st.integers(0, 6))):
        picture[data.draw(st.integers(0, min(400, len(picture) - 1)))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(picture)))
    for damaged in (bytes(picture), bytes(picture[:cut])):
        with contextlib.suppress(DataError):
            picture, size = Encoded(damaged, "x").decode(at_least)
            assert picture.mode == "RGB"
            assert np.asarray(picture).shape == (picture.height, picture.width, 3)
            assert all(size)


PIECES = st.sampled_from(
    [b"--b", b"\r\n", b"\r\n\r\n", b"Content-Length: ", b"5", b"99999999999999999999", b"-1", b"\xff\xd8", b"x" * 9000]
)


@FEW
@given(st.lists(PIECES | st.binary(max_size=50), max_size=40))
def test_no_stream_makes_the_part_parser_fail_or_hoard(pieces):
    parser = PartParser(b"--b")
    for piece in pieces:
        for part in parser.feed(piece):
            with contextlib.suppress(DataError):
                part.decode(None)
        assert parser.held_bytes <= MAX_PART_BYTES + 10_000


@tries(100)
@given(st.text(max_size=300))
@example("multipart/x; boundary=" + "é")
def test_no_content_type_makes_the_boundary_reader_fail(text):
    assert boundary_of(text) is None or boundary_of(text).startswith(b"--")


@pytest.fixture(scope="module")
def page():
    output = open_output("web:0", OutputContext(Telemetry(), 1))
    yield output
    output.close()


REQUEST = st.lists(
    st.sampled_from(
        [b"GET ", b"HEAD ", b"/", b"/status.json", b" HTTP/1.1\r\n", b" HTTP/9.9\r\n", b"Host: localhost\r\n", b"\r\n"]
    )
    | st.sampled_from(
        [b"Cookie: segfast_token=", b"Content-Length: -5\r\n", b"?token=", b"%00%ff", b"[", b":" * 70_000]
    )
    | st.binary(max_size=40),
    max_size=14,
).map(b"".join)


@FEW
@given(REQUEST)
@example(b"GET http://[ HTTP/1.1\r\nHost: localhost\r\n\r\n")
@example(b"GET /?token=%C3%28 HTTP/1.1\r\nHost: [\r\n\r\n")
def test_no_request_keeps_the_page_from_answering_the_next(page, sent_bytes):
    for sent in (sent_bytes, b"GET /page.css HTTP/1.0\r\nHost: localhost\r\n\r\n"):
        with socket.create_connection(("127.0.0.1", page.server.port), timeout=5) as client:
            with contextlib.suppress(OSError):
                client.sendall(sent)
                client.shutdown(socket.SHUT_WR)
            answer = b""
            with contextlib.suppress(ConnectionResetError):
                while piece := client.recv(65536):
                    answer += piece
    assert answer.startswith(b"HTTP/1.0 200")


class AnyServer:
    """Answers every connection with the same bytes."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.answer = b""
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                with client, contextlib.suppress(OSError):
                    client.recv(4096)
                    client.sendall(self.answer)
                    client.shutdown(socket.SHUT_WR)


@pytest.fixture(scope="module")
def camera():
    server = AnyServer()
    yield server
    server.listener.close()


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=b\r\n"


@FEW
@given(
    st.sampled_from([HEAD + b"\r\n", HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b""]),
    st.lists(PIECES | st.binary(max_size=60) | st.just(jpeg(tiny.frame(8, 8))), max_size=12).map(b"".join),
)
@example(HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"ffffffffffffffffffff\r\nx")
@example(b"HTTP/1.1 " + b"x" * 70_000, b"")
def test_no_camera_makes_its_reader_fail_with_anything_but_losing_it(camera, head, body):
    camera.answer = head + body
    source = open_input(f"http://127.0.0.1:{camera.listener.getsockname()[1]}/", InputOptions(silence_s=2))
    with pytest.raises(InputLostError):
        source.connect()
        while True:
            with contextlib.suppress(DataError):
                source.read(1).payload.decode(None)
    source.close()
