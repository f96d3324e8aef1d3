"""How much of the data a training keeps in memory."""

import numpy as np
import pytest
from PIL import Image

from segfast_edge.contract.preprocess import Preprocess
from segfast_edge.data import Protocol, open_dataset
from segfast_edge.training import batches
from segfast_edge.training.batches import MEMORY_SHARE, Examples
from segfast_edge.training.distributed import World
from segfast_edge.training.free_memory import free_bytes


@pytest.fixture
def growing(tmp_path):
    """Pictures of which the first is the smallest by far, and what each takes in memory."""
    for number, side in enumerate((16, 400, 400, 400)):
        for kind, shape in (("images", (side, side, 3)), ("labels", (side, side))):
            path = tmp_path / kind / "train" / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.resize(np.array([0, 1], np.uint8), shape)).save(path)
    return open_dataset("folder", tmp_path, "train", Protocol.named("standard", (32, 32)))


def unchanged(epoch, index, read):
    return read(index)


@pytest.mark.parametrize(("pairs", "kept"), [(0.5, 1), (1.5, 2), (2.5, 3), (9, 4)])
def test_the_cache_s_limit_holds_although_pictures_differ_in_size(growing, monkeypatch, pairs, kept):
    limit = pairs * 400 * 400 * 4 + 16 * 16 * 4
    monkeypatch.setattr(batches, "_free_bytes", lambda: limit / MEMORY_SHARE)
    examples = Examples(growing, Preprocess(32, 32), augment=unchanged)
    done = []
    examples.keep(World(), lambda count, total: done.append((count, total)))
    assert sum(frame.nbytes + labels.nbytes for frame, labels in examples._kept) <= limit
    assert done == [(count, 4) for count in range(1, kept + 1)]
    for index in range(4):
        assert np.array_equal(examples[0, index][0], growing[index].frame)


def test_only_what_is_kept_whole_is_ready(growing, monkeypatch):
    for free, ready in ((1e9, True), (1e4, False)):
        monkeypatch.setattr(batches, "_free_bytes", lambda free=free: free)
        examples = Examples(growing, Preprocess(32, 32))
        examples.keep(World(), lambda *_: None)
        assert examples.ready is ready


def write(root, files):
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)


MEMINFO = {"proc/meminfo": "MemTotal:       16000000 kB\nMemFree:  100 kB\nMemAvailable:    8000000 kB\n"}
BASE = "sys/fs/cgroup"


@pytest.mark.parametrize(
    ("files", "free"),
    [
        ({}, 8_192_000_000),
        ({"proc/self/cgroup": "0::/\n", f"{BASE}/memory.max": "max\n", f"{BASE}/memory.current": "5\n"}, 8_192_000_000),
        (
            {
                "proc/self/cgroup": "0::/pod/box\n",
                f"{BASE}/pod/box/memory.max": "max\n",
                f"{BASE}/pod/box/memory.current": "3000\n",
                f"{BASE}/pod/memory.max": "5000000\n",
                f"{BASE}/pod/memory.current": "3000000\n",
                f"{BASE}/pod/memory.stat": "anon 9\ninactive_file 500000\nactive_file 7\n",
            },
            2_500_000,
        ),
        (
            {
                "proc/self/cgroup": "5:cpu:/x\n4:memory:/x\n",
                f"{BASE}/memory/x/memory.limit_in_bytes": "700\n",
                f"{BASE}/memory/x/memory.usage_in_bytes": "900\n",
            },
            0,
        ),
        (
            {  # a container sees its own cgroup at the top, whatever it is called outside
                "proc/self/cgroup": "0::/../../outside\n",
                f"{BASE}/memory.max": "1000\n",
                f"{BASE}/memory.current": "400\n",
            },
            600,
        ),
    ],
    ids=["machine", "no limit", "limit of the cgroup above", "version 1", "inside a container"],
)
def test_free_memory_is_that_of_the_tightest_limit(tmp_path, files, free):
    write(tmp_path, MEMINFO | files)
    assert free_bytes(tmp_path) == free
