"""What a race gave: medians with intervals, ratios, shares of the machine's limit, and the tables of them."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from benchmarks.converter_race.cases import LOWERED, OURS, REFERENCE
from segfast_edge.contract.shared.bootstrap import mean_median, mean_median_interval, median_ratio_interval

Row = dict[str, Any]
TOOLS = ("eager", "torchscript", "openvino", "tflite", "onnx")
MET = (
    "Met is `yes` if the measured ratio is at least the one needed, wherever its interval ends, and `invalid` if"
    " the figure of either side is (see the end)."
)
PRECISIONS = ("f32", "bf16", "int8", "int8 + bf16")


def samples(row: Row) -> list[list[float]]:
    """Return a row's samples in ms, a list per round."""
    return [window["samples_ms"] for window in row["windows"]]


def timed(row: Row | None) -> bool:
    """Say whether a row has a time."""
    return row is not None and bool(row["windows"]) and "failed" not in row


def finish(row: Row) -> Row:
    """Add a row's median and its 95 % interval over the rounds."""
    if timed(row):
        row["p50_ms"] = mean_median(samples(row))
        row["p50_interval_ms"] = list(mean_median_interval(samples(row)))
    return row


def peaks(rows: Sequence[Row], side: int) -> dict[str, dict[str, float]]:
    """Return billions of multiply-accumulates a second per number of threads and precision; f32 the better of two."""
    found: dict[str, dict[str, float]] = {}
    for row in rows:
        if timed(row):
            rate = side**3 / row["p50_ms"] / 1e6
            precision = row["precision"].removeprefix("torch ")
            of = found.setdefault(str(row["threads"]), {})
            of[precision] = max(rate, of.get(precision, 0.0))
    return found


def share_of_limit(row: Row, macs: int, limits: Mapping[str, Mapping[str, float]]) -> float | None:
    """Return a row's rate over the peak of its precision with as many threads; the best precision where mixed."""
    peak = limits.get(str(row["threads"]), {}).get(row["precision"].partition(" ")[0])
    return macs / row["p50_ms"] / 1e6 / peak if peak and timed(row) else None


def pick(rows: Sequence[Row], **wanted: Any) -> Row | None:
    """Return the fastest timed row with these values; None where there is none."""
    found = [row for row in rows if timed(row) and all(row[key] == value for key, value in wanted.items())]
    return min(found, key=lambda row: row["p50_ms"], default=None)


def ratio(slow: Row | None, fast: Row | None) -> dict[str, Any] | None:
    """Return how many times as long ``slow`` takes as ``fast``, with its 95 % interval if there are several rounds."""
    if slow is None or fast is None:
        return None
    return {"ratio": slow["p50_ms"] / fast["p50_ms"], "interval": median_ratio_interval(samples(slow), samples(fast))}


def theirs(rows: Sequence[Row], tool: str, family: str, threads: int) -> Row | None:
    """Return the fastest of a tool's default ways in a family of precisions: ``int8`` takes either hint."""
    found = [row for row in rows if row["tool"] == tool and row["side"] != OURS and row["threads"] == threads]
    return pick([row for row in found if row["precision"].partition(" ")[0] == family])


def claims(cases: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """Give what the race is to show, for each SegFast network, size and number of threads."""
    reference = {tuple(case["size"]): case["rows"] for case in cases if case["network"] == REFERENCE}
    for case in (case for case in cases if case["network"].startswith("segfast")):
        rows, size = case["rows"], tuple(case["size"])
        for threads in sorted({row["threads"] for row in rows}):
            ours = [row for row in rows if row["side"] == OURS and row["threads"] == threads]
            best = pick(ours)
            eager = pick(rows, tool="eager", threads=threads)
            segnet = pick(reference.get(size, ()), tool="eager", threads=threads)
            tflite = theirs(rows, "tflite", "int8", threads)
            openvino = theirs(rows, "openvino", "int8", threads)
            for name, needed, slow, fast in (
                (
                    "TFLite int8: litert-torch + ai-edge-quantizer / ours",
                    1.5,
                    tflite,
                    pick(ours, tool="tflite", precision="int8"),
                ),
                (
                    "OpenVINO int8: ov.convert_model + NNCF / ours",
                    2.0,
                    openvino,
                    pick(ours, tool="openvino", precision="int8"),
                ),
                ("SegNet eager / best artifact", 60.0, segnet, best),
                (f"{case['network']} eager / best artifact", 6.0, eager, best),
            ):
                found = ratio(slow, fast)
                yield {
                    "network": case["network"],
                    "size": list(size),
                    "threads": threads,
                    "claim": name,
                    "needed": needed,
                    "slow": slow and _named(slow),
                    "fast": fast and _named(fast),
                    **(found or {"ratio": None}),
                    "met": _met(found, needed, slow, fast),
                }


def _met(found: Mapping[str, Any] | None, needed: float, *rows: Row | None) -> bool | str | None:
    """Return what the page's head says of ``met``; None where it was not measured."""
    if found is None:
        return None
    return "invalid" if any(row and row["invalid"] for row in rows) else bool(found["ratio"] >= needed)


def _named(row: Row) -> str:
    return f"{row['tool']} {row['precision']}, {row['side']}: {row['p50_ms']:.3f} ms"


def markdown(result: Mapping[str, Any]) -> str:
    """Return everything as Markdown."""
    lines = [f"# Converters\n\n{result['described']}\n", "## What was to be shown\n", f"{MET}\n"]
    lines += _table(("network", "h x w", "threads", "claim", "needed", "measured [95 %]", "met", "of"), _claims(result))
    lines += [
        "\n## The machine's limit\n",
        "Billions of multiply-accumulates a second in a product of square matrices of",
    ]
    lines += [f"side {result['product_side']}.\n"]
    names = ("f32", "bf16", "int8")
    limit_rows = [
        (count, *(f"{of.get(name, float('nan')):.1f}" for name in names)) for count, of in result["peaks"].items()
    ]
    lines += _table(("threads", *names), limit_rows)
    for case in result["cases"]:
        height, width = case["size"]
        lines.append(f"\n## {case['network']}, {height}x{width}, {case['macs'] / 1e6:.0f} M multiply-accumulates\n")
        lines += _table(TITLES, list(_ways(case["rows"])))
        failed = {row["failed"]: row for row in case["rows"] if "failed" in row}
        lines += [f"\n{row['tool']} {row['precision']}, {row['side']}: {why}" for why, row in failed.items()]
    invalid = [
        f"- {case['network']} {case['size'][0]}x{case['size'][1]} {_named(row)}, {row['threads']} threads: {reason}"
        for case in result["cases"]
        for row in case["rows"]
        if (reason := "; ".join(row.get("invalid", ())))
    ]
    absent = [f"- {line}" for line in result["not_made"]]
    lines += ["\n## Not made\n", *(absent or ["Nothing."]), "\n## Invalid\n", *(invalid or ["Nothing."])]
    return "\n".join(lines) + "\n"


TITLES = ("way", "threads", "ours, ms", "default, ms", "default / ours", "of the limit", "labels alike", "executed")


def _ways(rows: Sequence[Row]) -> Iterator[tuple[str, ...]]:
    for tool in TOOLS:
        for precision in PRECISIONS:
            for threads in sorted({row["threads"] for row in rows}):
                found = [r for r in rows if (r["tool"], r["precision"], r["threads"]) == (tool, precision, threads)]
                ours = next((row for row in found if row["side"] == OURS), None)
                others = [row for row in found if row["side"] != OURS]
                for their in others or ([None] if ours else []):
                    lowered = their is not None and their["side"] == LOWERED
                    name = f"{tool} {precision}" + (", default lowered by us" if lowered else "")
                    yield (name, str(threads), *_way(ours, their))


def _way(ours: Row | None, their: Row | None) -> tuple[str, ...]:
    both = [row for row in (ours, their) if row is not None and timed(row)]
    found = ratio(their, ours) if len(both) == 2 else None
    return (
        _time(ours),
        _time(their),
        "" if found is None else _ratio(found),
        " / ".join("?" if row["of_limit"] is None else f"{row['of_limit']:.0%}" for row in both),
        " / ".join(f"{row['labels_alike']:.1%}" for row in both),
        " / ".join(row.get("executed_precision", "?") for row in both),
    )


def _time(row: Row | None) -> str:
    if row is None:
        return "none"
    if not timed(row):
        return "failed"
    low, high = row["p50_interval_ms"]
    return f"{row['p50_ms']:.2f} [{low:.2f}, {high:.2f}]" + (" (invalid)" if row["invalid"] else "")


def _ratio(found: Mapping[str, Any]) -> str:
    if found["interval"] is None:
        return f"{found['ratio']:.2f}"
    low, high = found["interval"]
    return f"{found['ratio']:.2f} [{low:.2f}, {high:.2f}]"


def _claims(result: Mapping[str, Any]) -> list[tuple[str, ...]]:
    return [
        (
            each["network"],
            f"{each['size'][0]}x{each['size'][1]}",
            str(each["threads"]),
            each["claim"],
            f"{each['needed']:g}",
            "" if each["ratio"] is None else _ratio(each),
            {None: "not measured", True: "yes", False: "no"}.get(each["met"], "invalid"),
            "" if each["ratio"] is None else f"{each['slow']}; {each['fast']}",
        )
        for each in result["claims"]
    ]


def _table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [titles, ["---"] * len(titles), *rows]
    return [f"| {' | '.join(map(str, line))} |" for line in lines]
