"""Self-contained HTML pages: pictures and plots inside the file, no script and no request to anywhere."""

import base64
import io
from importlib import resources
from pathlib import Path
from typing import Any

import jinja2
from PIL import Image

from segfast_edge import __version__
from segfast_edge.contract.shared.files import replacing_file
from segfast_edge.contract.shared.images import Frame
from segfast_edge.contract.theme import THEME


def picture(pixels: Frame) -> str:
    """Return a data URI of uint8 height x width x 3, as WebP for its size."""
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "WEBP", quality=85, method=4)
    return "data:image/webp;base64," + base64.b64encode(stream.getvalue()).decode()


def write_page(path: Path, template: str, **values: Any) -> None:
    """Fill ``template`` (a file of this package) and write it, whole or not at all."""
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(lambda name: (resources.files(__name__) / name).read_text(encoding="utf-8")),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    theme = THEME.read_text(encoding="utf-8")
    text = environment.get_template(template).render(**values, theme=theme, version=__version__)
    with replacing_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
