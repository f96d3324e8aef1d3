import contextlib
import http.client
import json
import re
import socket
import threading
import time
from urllib.parse import quote, quote_plus

import numpy as np
import pytest
from tiny_runner import Script, null_model, result, wait_for

from segfast_edge.errors import DataError
from targets.runner.decoding import Encoded
from targets.runner.frames import Notice
from targets.runner.inputs._multipart import PartParser, boundary_of
from targets.runner.main_loop import Service
from targets.runner.outputs import OutputContext, open_output
from targets.runner.pipeline import Pipeline, PipelineSettings
from targets.runner.telemetry import Telemetry
from targets.runner.web import connections, server

TOKEN = "a-token-of-24-characters"


class Page:
    """A service with a live page, and requests to it."""

    def __init__(self, tmp_path, token=None, argument="0"):
        self.telemetry, self.source = Telemetry(), Script()
        self.output = open_output(f"web:{argument}", OutputContext(self.telemetry, 1, token))
        model = null_model(tmp_path / "a")
        self.pipeline = Pipeline(
            self.source, model, {"web": self.output}, settings=PipelineSettings(), telemetry=self.telemetry
        )
        self.service = Service(self.pipeline, model)
        self.thread = threading.Thread(target=self.service.run, daemon=True)
        self.thread.start()

    def get(self, path, method="GET", **headers):
        connection = http.client.HTTPConnection("127.0.0.1", self.output.server.port, timeout=60)
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()
        body = answer.read()
        connection.close()
        return answer, body

    def show(self):
        self.source.give(np.full((40, 60, 3), 7, np.uint8))
        return wait_for(lambda: self.telemetry.last)

    def end(self):
        self.service.stop()
        self.thread.join(240)
        assert not self.thread.is_alive()


@pytest.fixture
def page(tmp_path):
    page = Page(tmp_path)
    yield page
    page.end()


def test_the_page_and_its_parts_are_served_with_nothing_from_elsewhere(page):
    answer, body = page.get("/")
    assert answer.status == 200
    assert "default-src 'none'" in answer.getheader("Content-Security-Policy")
    assert not re.search(rb"https?://(?!www\.w3\.org)", body)
    for name in re.findall(rb'(?:href|src)="((?!data:)[^"]+)"', body):
        if name != b"stream.mjpg":
            assert page.get(f"/{name.decode()}")[0].status == 200
    assert page.get("/../../etc/passwd")[0].status == 404
    assert page.get("/", "HEAD")[1] == b""
    assert page.get("/", "POST")[0].status == 501


def test_health_follows_the_state(page):
    answer, body = page.get("/healthz")
    assert (answer.status, json.loads(body)["state"]) == (503, "starting")
    page.show()
    wait_for(lambda: page.get("/healthz")[0].status == 200)
    page.pipeline.inference.failure = "gone"
    answer, body = page.get("/healthz")
    assert answer.status == 503
    assert json.loads(body)["reason"] == "the engine failed: gone"


def test_status_and_history_are_json(page):
    page.show()
    status = json.loads(page.get("/status.json")[1])
    assert status["frames"]["in"] == 1
    assert status["engine"]["golden"] == 1.0
    assert status["classes"]["names"][0] == "road"
    assert sum(status["shares"].values()) == pytest.approx(1)
    at_ms, age_ms, latency_ms, late = json.loads(page.get("/history.json")[1])[0]
    assert age_ms >= latency_ms > 0
    assert (late, at_ms > 0) == (0, True)


def test_metrics_are_well_formed_and_balance(page):
    page.show()
    wait_for(lambda: page.pipeline.ledger.tally().in_flight == 0)
    text = page.get("/metrics")[1].decode()
    values = {}
    for line in text.splitlines():
        if not line.startswith("#"):
            name, value = re.fullmatch(r"(segfast_[a-z_]+(?:\{[^}]*\})?) (\S+)", line).groups()
            assert name not in values
            values[name] = float(value)
    assert values["segfast_frames_in_total"] == values["segfast_frames_out_total"] == 1
    assert values['segfast_state{state="running"}'] == 1
    assert values["segfast_frame_age_seconds_count"] == values['segfast_frame_age_seconds_bucket{le="+Inf"}'] == 1
    assert values['segfast_stage_seconds_count{stage="decode"}'] == 1
    families = re.findall(r"# TYPE (\S+) (\S+)", text)
    assert len(families) == len(dict(families))


def test_the_stream_shows_results_and_says_when_there_is_none(page):
    connection = http.client.HTTPConnection("127.0.0.1", page.output.server.port, timeout=60)
    connection.request("GET", "/stream.mjpg")
    answer = connection.getresponse()
    parser, parts = PartParser(boundary_of(answer.getheader("Content-Type"))), []
    wait_for(lambda: page.output.wants_frame)
    page.show()
    while not parts:
        parts += parser.feed(answer.read1(65536))
    assert parts[0].decode(None)[0].size == (60, 40)
    page.output.notice(Notice("no_result", "the engine failed: ☠", 1))
    while len(parts) < 2:
        parts += parser.feed(answer.read1(65536))
    pixels = np.asarray(parts[1].decode(None)[0])
    assert pixels[..., 0].mean() > 2 * pixels[..., 1].mean()  # dark red
    answer.close()
    connection.close()


def test_a_frame_that_nobody_watches_is_not_kept_and_whoever_comes_gets_the_next(page):
    feed = page.output._feed
    page.output.notice(Notice("no_frames", "unplugged", 1))
    assert feed.next(0, 5) is not None
    page.show()
    wait_for(lambda: feed.next(0, 0.05) is None)  # the notice holds no longer, and there is no picture yet
    with feed.watching():
        page.source.give(np.full((40, 60, 3), 7, np.uint8))
        assert feed.next(0, 5) is not None
    assert not page.output.wants_frame


def test_without_a_token_only_requests_addressed_to_this_machine_are_answered(page):
    assert page.get("/status.json", Host="attacker.example")[0].status == 403
    assert page.get("/status.json", Host="localhost:1")[0].status == 200
    assert page.get("/status.json", Host="[::1]:8080")[0].status == 200
    assert page.get("/status.json", Host="[")[0].status == 403


def test_with_a_token_it_is_asked_for_and_leaves_the_address(tmp_path):
    page = Page(tmp_path, TOKEN, "0.0.0.0:0")
    assert page.get("/metrics")[0].status == 401
    assert page.get("/metrics", Authorization="Bearer wrong")[0].status == 401
    assert page.get("/metrics", Authorization=f"Bearer {TOKEN}")[0].status == 200
    assert page.get("/?token=wrong")[0].status == 401
    answer, _ = page.get(f"/?token={TOKEN}")
    assert (answer.status, answer.getheader("Location")) == (303, "/")
    cookie = answer.getheader("Set-Cookie")
    assert "HttpOnly" in cookie
    assert page.get("/", Cookie=cookie.partition(";")[0])[0].status == 200
    page.end()


@pytest.mark.parametrize("host", ["0.0.0.0", "[::]", "192.168.1.5", "car.local"])
def test_another_address_without_a_token_is_refused(host):
    with pytest.raises(DataError, match="needs a token"):
        open_output(f"web:{host}:0", OutputContext(Telemetry(), 1))


def test_a_short_token_and_a_taken_port_are_refused(page):
    with pytest.raises(DataError, match="the token has 5 characters"):
        open_output("web:0", OutputContext(Telemetry(), 1, "short"))
    with pytest.raises(DataError, match="cannot listen on "):
        open_output(f"web:{page.output.server.port}", OutputContext(Telemetry(), 1))


@pytest.fixture
def slow(page):
    """Give a function that opens connections which never come to the end of their request."""
    held = []

    def connect(count, sent=b"GET /healthz HTTP/1.0\r\n"):
        for _ in range(count):
            held.append(socket.create_connection(("127.0.0.1", page.output.server.port)))
            held[-1].sendall(sent)
        return held

    yield connect
    for each in held:
        each.close()


def test_two_hundred_visitors_that_send_a_byte_now_and_then_keep_nobody_from_healthz(page, slow, monkeypatch):
    monkeypatch.setattr(connections, "REQUEST_S", 300)  # however slow this machine is, they stay
    page.show()
    held = slow(200)
    wait_for(lambda: page.output.server.door.waiting == 200)
    stop = threading.Event()

    def trickle():
        while not stop.wait(0.05):
            for each in held:
                with contextlib.suppress(OSError):
                    each.sendall(b"x")

    thread = threading.Thread(target=trickle)
    thread.start()
    try:
        for path in ("/healthz", "/status.json", "/metrics", "/"):
            assert page.get(path)[0].status == 200
        assert page.output.server.door.waiting > 0  # they are there still, and none has a thread
        wait_for(lambda: not [each for each in threading.enumerate() if each.name == "answer"])
    finally:
        stop.set()
        thread.join()


def test_whoever_does_not_send_a_request_in_time_is_let_go_however_it_trickles(page, slow, monkeypatch):
    monkeypatch.setattr(connections, "REQUEST_S", 0.3)
    held = slow(3)
    until = time.monotonic() + 20
    ended = set()
    while len(ended) < 3 and time.monotonic() < until:
        for each in held:
            with contextlib.suppress(OSError):
                each.sendall(b"y")
            each.settimeout(0.05)
            with contextlib.suppress(TimeoutError):
                try:
                    ended |= {each} if each.recv(10) == b"" else set()
                except ConnectionError:
                    ended.add(each)
    assert len(ended) == 3
    assert page.output.server.door.waiting == 0


def test_as_many_as_can_wait_make_room_for_the_next_and_a_long_request_is_refused(page, slow):
    slow(connections.MAX_WAITING + 40)
    assert page.get("/status.json")[0].status == 200
    assert page.output.server.door.waiting <= connections.MAX_WAITING
    (one, *_) = slow(1, b"GET / HTTP/1.0\r\n" + b"x" * connections.MAX_REQUEST)[-1:]
    one.settimeout(10)
    with contextlib.suppress(ConnectionError):
        assert one.recv(10) == b""


def test_streams_that_nobody_reads_take_only_their_own_places_and_healthz_has_some_for_itself(page, slow):
    page.show()
    slow(server.MAX_STREAMS, b"GET /stream.mjpg HTTP/1.0\r\nHost: localhost\r\n\r\n")
    wait_for(lambda: page.output.server._stream_places._value == 0)
    assert page.get("/stream.mjpg", "HEAD")[0].status == 503
    assert page.get("/status.json")[0].status == 200
    for _ in range(server.MAX_ANSWERS):  # as if whoever asked read nothing of a long answer
        page.output.server._places.acquire()
    assert page.get("/status.json")[0].status == 503
    assert page.get("/healthz")[0].status == 200
    for _ in range(server.MAX_ANSWERS):
        page.output.server._places.release()
    assert page.get("/status.json")[0].status == 200


def test_whoever_takes_an_answer_too_slowly_is_let_go(page, monkeypatch):
    monkeypatch.setattr(server, "ANSWER_S", 0.3)
    monkeypatch.setattr(page.output.server.telemetry, "status", lambda: {"x": "y" * (64 << 20)})
    with socket.create_connection(("127.0.0.1", page.output.server.port)) as one:
        one.sendall(b"GET /status.json HTTP/1.0\r\nHost: localhost\r\n\r\n")
        wait_for(lambda: page.output.server._places._value < server.MAX_ANSWERS)
        wait_for(lambda: page.output.server._places._value == server.MAX_ANSWERS)


TOKENS = ["a+b/c;d=e&f,g h-0123", '"quoted\\ token" 100%', "ü-Straße-12345678", "%2B%zz%20 0123456789"]
TOKENS.append("token=token=0123456")


@pytest.mark.parametrize("token", TOKENS)
def test_any_printable_token_works_in_a_header_in_an_address_and_in_the_cookie(tmp_path, token):
    page = Page(tmp_path, token, "0.0.0.0:0")
    assert page.get("/metrics", Authorization=f"Bearer {token}".encode())[0].status == 200
    assert page.get("/metrics", Authorization=f"bearer {token}".encode())[0].status == 200
    assert page.get("/metrics", Authorization=f"Bearer {token[:-1]}".encode())[0].status == 401
    ways = {quote(token, safe=""), quote(token, safe="/+;=&,"), quote_plus(token)}
    for way in ways:
        answer, _ = page.get(f"/?token={way}")
        assert answer.status == 303, way
    cookie = answer.getheader("Set-Cookie").partition(";")[0]
    assert token not in cookie
    for more in ("", '; other={"a": 1}', "; =; x"):
        assert page.get("/", Cookie=f"theme=dark{more}; {cookie}")[0].status == 200
    assert page.get("/", Cookie=f"{cookie[:-1]}")[0].status == 401
    page.end()


def test_a_token_that_cannot_be_typed_is_refused():
    with pytest.raises(DataError, match="cannot be typed"):
        open_output("web:0", OutputContext(Telemetry(), 1, "a\x00" * 10))


def test_nobody_looking_costs_no_encoding(tmp_path):
    output = open_output("web:0", OutputContext(Telemetry(), 1))
    output.write(result(1))
    assert output._feed._encoded == (0, b"")
    first = output._feed.next(0, 1)
    assert output._feed.next(0, 1) is first
    assert Encoded(first[1], "x").decode(None)[1] == (40, 60)
    output.close()
