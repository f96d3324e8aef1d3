"""The output of segfast-edge profile: tables of all figures, layers, repeated runs and thread counts."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

    from segfast_edge.contract.instruction_report import CountReport
    from segfast_edge.contract.report import Report
    from segfast_edge.profiling.threads_curve import Point

    AnyReport = Report | CountReport


def show(reports: list["AnyReport"], rank: float) -> None:
    from rich.table import Column, Table

    from segfast_edge.cli._console import console
    from segfast_edge.contract.instruction_report import CountReport, count_figures
    from segfast_edge.contract.report_text import figures

    shown = [count_figures(each) if isinstance(each, CountReport) else figures(each, rank) for each in reports]
    machines = sorted({_machine(report) for report in reports})
    title = f"{', '.join(sorted({report.target for report in reports}))}: {'; '.join(machines)}"
    names = list(dict.fromkeys(name for each in shown for name in each))
    screen = console()
    columns = [
        (report.title, *(each.get(name, "") for name in names)) for report, each in zip(reports, shown, strict=True)
    ]
    for part in parts(columns, screen.width - max(map(len, names)) - 4):
        table = Table("", *(Column(name, justify="right", overflow="fold") for name, *_ in part), title=title)
        table.columns[0].no_wrap = True
        for name, *cells in zip(names, *(cells for _, *cells in part), strict=True):
            table.add_row(name, *cells)
        screen.print(table)
    for report in reports:
        for reason in report.reasons:
            screen.print(f"{report.title}: invalid: {reason}", highlight=False, soft_wrap=True)
        if not isinstance(report, CountReport) and report.layers:
            show_layers(report, screen)
    _show_repeated([report for report in reports if not isinstance(report, CountReport)], screen)


def _show_repeated(reports: "list[Report]", screen: "Console") -> None:
    """Print a line for each artifact that was measured in several processes."""
    from segfast_edge.contract.shared.bootstrap import mean_median, mean_median_interval

    for name in dict.fromkeys(report.title for report in reports):
        runs = [report.latency.samples_ms for report in reports if report.title == name]
        if len(runs) > 1:
            low, high = mean_median_interval(runs)
            median = f"p50 {mean_median(runs):.3f} ms, 95 % {low:.3f} to {high:.3f}"
            screen.print(f"{name}: {len(runs)} processes: {median}", highlight=False, soft_wrap=True)


def parts(columns: Sequence[tuple[str, ...]], width: int) -> Iterator[list[tuple[str, ...]]]:
    """Give as many columns at a time as stand side by side in ``width`` characters without breaking a cell."""
    part: list[tuple[str, ...]] = []
    left = width
    for column in columns:
        needed = max(map(len, column)) + 3
        if part and needed > left:
            yield part
            part, left = [], width
        part.append(column)
        left -= needed
    yield part


def _machine(report: "AnyReport") -> str:
    board, processor = report.machine.get("board"), report.machine.get("processor") or "processor unknown"
    return f"{board}, {processor}" if board else str(processor)


def show_layers(report: "Report", screen: "Console") -> None:
    from segfast_edge.contract.layer_times import Layer
    from segfast_edge.contract.report_text import KIND_TITLES, LAYER_TITLES, kind_rows, layer_rows

    layers = [Layer.from_json(each) for each in report.layers]
    title = f"{report.title}: {report.engine}, {report.threads} threads, traced"
    _show_rows(f"{title}: kinds of layers", KIND_TITLES, kind_rows(layers), screen)
    _show_rows(f"{title}: each layer in turn", LAYER_TITLES, layer_rows(layers), screen)


def _show_rows(title: str, titles: Sequence[str], rows: Sequence[tuple[str, ...]], screen: "Console") -> None:
    """Draw a line a row: where the terminal is narrow, names are cut and figures are not; the JSON has all."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    columns = [(name, *cells) for name, *cells in zip(titles, *rows, strict=True) if any(cells)]
    widths = {name: max(map(len, (name, *cells))) for name, *cells in columns}
    words = [name for name in ("layer", "kind of layer", "kernel") if name in widths]
    room = screen.width - 3 * len(columns) - sum(width for name, width in widths.items() if name not in words)
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    for name, *_ in columns:
        most = max(room // len(words), 8) if name in words else None
        left = name in (*words, "precision")
        table.add_column(name, justify="left" if left else "right", no_wrap=True, max_width=most, overflow="ellipsis")
    for row in zip(*(cells for _, *cells in columns), strict=True):
        table.add_row(*row)
    screen.print(table)


def show_curve(points: "Sequence[Point]") -> None:
    """Print latency by the number of threads, and the number that is worth having."""
    from rich.table import Table

    from segfast_edge.cli._console import console

    table = Table(title="latency by threads; speed-up over the fewest")
    for name in ("artifact", "threads", "processes", "p50 ms", "95 % interval", "speed-up", "valid", ""):
        table.add_column(name, justify="left" if name in ("artifact", "") else "right")
    first = {point.artifact: point.p50_ms for point in reversed(points)}
    for each in points:
        interval = "{:.3f} to {:.3f}".format(*each.interval)
        figures = (f"{each.p50_ms:.3f}", interval, f"{first[each.artifact] / each.p50_ms:.2f}")
        words = ("yes" if each.valid else "no", "recommended" if each.recommended else "")
        table.add_row(each.artifact, str(each.threads), str(each.processes), *figures, *words)
    screen = console()
    screen.print(table)
    for name in dict.fromkeys(point.artifact for point in points):
        if not any(point.recommended for point in points if point.artifact == name):
            screen.print(
                f"{name}: no number of threads is recommended, because a measurement is invalid", soft_wrap=True
            )
