"""Draw the samples of a run as small charts over time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from chaos.growth import fifths

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from chaos.sampling import Sample

_Curve = tuple[str, "Callable[[Sample], float | None]"]

_STYLE: Any = {
    # Text as text and fixed ids: a small file, and the same file for the same samples.
    "svg.fonttype": "none",
    "svg.hashsalt": "daybook",
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.3,
    "lines.linewidth": 1.1,
    "legend.frameon": False,
    "legend.fontsize": 7.5,
    "legend.handlelength": 1.2,
    "legend.columnspacing": 1.0,
}


@dataclass(frozen=True, slots=True)
class _Chart:
    title: str
    unit: str
    curves: Sequence[_Curve]
    logarithmic: bool = False


_CHARTS = (
    _Chart("Memory of all workers", "GB", [("", lambda s: s.memory / 1000)]),
    _Chart(
        "Memory of one worker",
        "MB",
        [("largest", lambda s: s.largest), ("median", lambda s: s.ordinary)],
    ),
    _Chart("Workers", "processes", [("", lambda s: s.workers)]),
    _Chart(
        "Waiting",
        "number",
        [("messages in queues", lambda s: s.messages), ("open deliveries", lambda s: s.open)],
    ),
    _Chart(
        "Age of the oldest",
        "seconds",
        [("message", lambda s: s.oldest_message), ("open delivery", lambda s: s.oldest_open)],
    ),
    _Chart(
        "Time from PutEvents to the commit",
        "seconds",
        [
            ("order", lambda s: s.order_latency),
            ("delivery, p99", lambda s: s.slow),
            ("delivery, median", lambda s: s.median),
        ],
        logarithmic=True,
    ),
    _Chart("Grows by design: the local cloud's memory", "GB", [("", lambda s: s.cloud / 1000)]),
    _Chart("Grows by design: events recorded", "thousands", [("", lambda s: s.events / 1000)]),
    _Chart("Processor use, by all programs", "percent", [("", lambda s: s.processor)]),
)
_COLUMNS = 3
_LEGEND = 18.0  # points between a title and its chart


def draw(samples: Sequence[Sample], picture: Path) -> None:
    """Write the picture in the format of its file name (`.svg`, `.png`). The compared fifths are grey."""
    # Imported here, because it is slow and nothing else needs it.
    import matplotlib as mpl  # noqa: PLC0415
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415
    from matplotlib.figure import Figure  # noqa: PLC0415

    with mpl.rc_context(_STYLE):
        rows = -(-len(_CHARTS) // _COLUMNS)
        figure = Figure(figsize=(12, 2.4 * rows), layout="constrained")
        FigureCanvasAgg(figure)
        all_axes = list(figure.subplots(rows, _COLUMNS, sharex=True).flat)
        for axes, chart in zip(all_axes, _CHARTS, strict=True):
            _draw(axes, chart, samples)
        for axes in all_axes[-_COLUMNS:]:
            axes.set_xlabel("minutes")
        metadata = {"Date": None} if picture.suffix == ".svg" else None
        figure.savefig(picture, metadata=metadata, dpi=100, facecolor="white")


def _draw(axes: Any, chart: _Chart, samples: Sequence[Sample]) -> None:
    for part in fifths(samples):
        if part:
            axes.axvspan(part[0].minutes, part[-1].minutes, color="0.93", linewidth=0)
    for name, value in chart.curves:
        seen = [(sample.minutes, found) for sample in samples if (found := value(sample)) is not None]
        axes.plot([minutes for minutes, _ in seen], [found for _, found in seen], label=name)
    axes.set_title(chart.title, pad=_LEGEND)
    axes.set_ylabel(chart.unit)
    if chart.logarithmic:
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter("{x:g}")
    else:
        axes.set_ylim(bottom=0)
    if len(chart.curves) > 1:  # between title and chart
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=len(chart.curves), borderpad=0, borderaxespad=0.3)
