"""The table of formats and precisions as words, and as a page with a plot of accuracy over latency."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from segfast_edge.page import write_page

COLUMNS = ("mIoU", "agreement", "ms p50", "ms p99", "frames/s", "MB file", "MB resident", "valid")
Row = Mapping[str, Any]  # of BenchmarkRow.to_json


def names(rows: Sequence[Row]) -> list[str]:
    """Return what tells the rows apart: format and precision, and the model if there are several."""
    return [*(["model"] if len({row["model"] for row in rows}) > 1 else []), "format", "precision"]


def cells(row: Row) -> tuple[str, ...]:
    """Return a row's figures as words, one for each of ``COLUMNS``; what was not measured is empty."""

    def shown(key: str, form: str, scale: float = 1.0) -> str:
        return "" if row[key] is None else format(row[key] * scale, form)

    failed = "failed" if row["problem"] and row["file_bytes"] is None else ""
    return (
        shown("miou", ".4f"),
        shown("agreement", ".3%"),
        shown("p50_ms", ".2f"),
        shown("p99_ms", ".2f"),
        shown("frames_per_second", ".1f"),
        shown("file_bytes", ".2f", 1e-6),
        shown("resident_bytes", ".1f", 1e-6),
        {None: failed, True: "yes", False: "no"}[row["valid"]],
    )


def problems(rows: Sequence[Row]) -> list[str]:
    """Return a line for whatever failed, and for every measurement that is not valid, with the reason."""
    lines = []
    for row in rows:
        invalid = f"invalid: {'; '.join(row['reasons'])}" if row["reasons"] else ""
        lines += [f"{_title(row, rows)}: {what}" for what in (row["problem"], invalid) if what]
    return lines


def note(rows: Sequence[Row]) -> str:
    """Say what the columns mean that do not say it themselves."""
    references = sorted({row["agreement_with"] for row in rows if row["agreement"] is not None})
    return (
        f"agreement: share of labels as {' or '.join(references) or 'torch'} has them; "
        "MB resident: peak over the process without the engine"
    )


def write_benchmark(page: Path, title: str, rows: Sequence[Row]) -> None:
    """Write the page; it has a plot if matplotlib is installed and two rows or more have accuracy and latency."""
    heads = names(rows)
    table = [[*(row[name] for name in heads), *cells(row)[:-1], _validity(cells(row)[-1])] for row in rows]
    write_page(
        page,
        "benchmark.html.j2",
        title="segfast-edge benchmark",
        lead=title,
        titles=[*heads, *COLUMNS],
        text_columns=len(heads),
        rows=table,
        problems=problems(rows),
        note=note(rows),
        plot_of_all=_plot(rows),
    )


def _title(row: Row, rows: Sequence[Row]) -> str:
    model = f"{row['model']}, " if "model" in names(rows) else ""
    return f"{model}{row['format']} {row['precision']}"


def _validity(shown: str) -> str:
    return {"yes": "valid", "no": "invalid"}.get(shown, shown)


def _plot(rows: Sequence[Row]) -> str:
    points: dict[str, tuple[float, float]] = {}
    for row in rows:
        if row["p50_ms"] and row["miou"] is not None:
            title = _title(row, rows)
            alike = sum(each.startswith(title) for each in points)  # artifacts of one name in several folders
            points[f"{title} ({alike + 1})" if alike else title] = (row["p50_ms"], row["miou"])
    if len(points) < 2:
        return ""
    try:
        from segfast_edge.page.plots import pareto
    except ModuleNotFoundError as error:
        if error.name != "matplotlib":
            raise
        return ""
    return pareto(points)
