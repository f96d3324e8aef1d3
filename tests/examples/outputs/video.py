"""A video; its frames are JPEG pictures, which are found by their first and last bytes."""

import contextlib
import io

from PIL import Image


@contextlib.contextmanager
def opened(folder):
    def check(result, _):
        content = (folder / "a.avi").read_bytes()
        first, last = content.index(b"\xff\xd8\xff"), content.index(b"\xff\xd9") + 2
        with Image.open(io.BytesIO(content[first:last])) as picture:
            picture.load()
            assert (picture.height, picture.width) == result.mask.shape

    yield f"video:{folder}/a.avi", None, check
