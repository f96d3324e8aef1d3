"""Results of long work, cached for the next start: one file each, with what it was made from and its checksum.

The first line is JSON: the facts the content was made from, and the content's SHA-256. A file whose facts differ by
anything, or that is damaged, counts as absent; nothing of it reaches whoever asked.
"""

import hashlib
import json
import logging
from collections.abc import Mapping
from pathlib import Path

from segfast_edge.contract.shared.files import replacing_file
from segfast_edge.errors import ArtifactError

log = logging.getLogger("segfast.kept")

_VERSION = 1  # of the layout of these files


def find(path: Path, facts: Mapping[str, str]) -> bytes | None:
    """Return what was kept at ``path`` if it was made from exactly these facts and is whole."""
    try:
        head, _, content = path.read_bytes().partition(b"\n")
        said = json.loads(head)
    except OSError:
        return None
    except (ValueError, RecursionError):
        log.info("%s is damaged and is made again", path)
        return None
    if said != _head(facts, content):
        log.info("%s is damaged or was made from something else, and is made again", path)
        return None
    return content


def keep(path: Path, facts: Mapping[str, str], content: bytes) -> None:
    """Write ``content`` whole or not at all; if that fails, say so and go on without."""
    head = json.dumps(_head(facts, content)).encode()
    try:
        with replacing_file(path) as temporary:
            temporary.write_bytes(head + b"\n" + content)
    except ArtifactError as error:
        log.warning("%s; it will be made again at the next start", error)


def _head(facts: Mapping[str, str], content: bytes) -> dict[str, object]:
    return {"kept": _VERSION, "made_from": dict(facts), "sha256": hashlib.sha256(content).hexdigest()}
