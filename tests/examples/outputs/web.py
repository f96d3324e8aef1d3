"""The live page's stream, as a browser asks for it while the runner is there."""

import contextlib
import http.client
import io

from PIL import Image

WHILE_OPEN = True


@contextlib.contextmanager
def opened(_):
    def check(result, output):
        connection = http.client.HTTPConnection("127.0.0.1", output.server.port, timeout=10)
        connection.request("GET", "/stream.mjpg")
        answer = connection.getresponse()
        content = b""
        while b"\xff\xd9" not in content:
            if output.wants_frame:
                output.write(result)
            content += answer.read1(65536)
        connection.close()
        answer.close()
        with Image.open(io.BytesIO(content[content.index(b"\xff\xd8\xff") :])) as picture:
            picture.load()
            assert (picture.height, picture.width) == result.mask.shape

    yield "web:0", None, check
