"""Lines in a file."""

import contextlib
import json

from segfast_edge.contract.masks import class_shares


@contextlib.contextmanager
def opened(folder):
    def check(result, _):
        line = json.loads((folder / "a.jsonl").read_text().splitlines()[0])
        shares = class_shares(result.labels, result.classes)
        assert line["frame"] == result.number
        assert line["shares"] == {name: round(share, 4) for name, share in shares.items()}

    yield f"jsonl:{folder}/a.jsonl", None, check
