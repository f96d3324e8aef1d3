from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypedDict

import numpy as np
import pytest

from segfast_edge.contract.shared import records


@dataclass(frozen=True)
class Inner:
    name: str
    numbers: tuple[float, ...] = ()


class Told(TypedDict, total=False):
    watts: float | None


@dataclass(frozen=True)
class Record:
    count: int
    share: float
    sure: bool
    kind: Literal["a", "b"]
    inner: Inner
    perhaps: float | None = None
    by_name: Mapping[str, Inner] = field(default_factory=dict)
    told: Mapping[str, Any] = field(default_factory=dict)
    colour: tuple[tuple[int, int, int], ...] = ()


def drawn(seed):
    rng = np.random.default_rng(seed)
    numbers = tuple(rng.random(int(rng.integers(4))).tolist())
    names = {f"n{k}": Inner(f"é{k}", numbers) for k in range(int(rng.integers(3)))}
    colours = tuple(tuple(rng.integers(0, 256, 3).tolist()) for _ in range(int(rng.integers(3))))
    perhaps = None if rng.random() < 0.5 else float(rng.random())
    return Record(int(rng.integers(99)), 0.5, True, "b", Inner("x", numbers), perhaps, names, {"watts": 1.5}, colours)


@pytest.mark.parametrize("seed", range(8))
def test_what_was_written_is_read_again(seed):
    record = drawn(seed)
    value = records.plain(record)
    assert records.read(Record, {**value, "unknown": 1}, told=Told) == record


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("count", 1.5), ("count", True), ("count", "1"), ("share", "0.5"), ("share", float("nan")), ("share", False),
        ("sure", 1), ("kind", "c"), ("kind", ["a"]), ("inner", "x"), ("inner", {"name": 3, "numbers": []}),
        ("inner", {"name": "x", "numbers": "12"}), ("perhaps", "no"), ("by_name", []), ("by_name", {"n": 1}),
        ("told", {"watts": "many"}), ("colour", [["r", 0, 0]]), ("colour", [[0, 0]]), ("colour", [[0, 0, 0, 0]]),
    ],
)  # fmt: skip
def test_a_field_of_another_kind_is_refused(name, wrong):
    value = records.plain(drawn(0))
    with pytest.raises((KeyError, TypeError, ValueError)):
        records.read(Record, {**value, name: wrong}, told=Told)


@pytest.mark.parametrize("name", ["count", "share", "sure", "kind", "inner", "by_name"])
def test_a_missing_field_is_refused_unless_it_may_be(name):
    value = records.plain(drawn(1))
    del value[name]
    with pytest.raises(KeyError):
        records.read(Record, value)
    if name == "by_name":
        assert records.read(Record, value, (name,)).by_name == {}
