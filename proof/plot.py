"""A long run as a picture: small multiples over the minutes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from proof.samples import Sample

_POINTS = 360  # of a line; more are not seen
_WIDTH, _HEIGHT = 8.0, 10.5  # inches

Line = tuple[str, "Callable[[Sample], float | None]"]

_PANELS: Sequence[tuple[str, Sequence[Line]]] = (
    (
        "memory of functions' processes, MB",
        (("median", lambda sample: sample.ordinary), ("largest", lambda sample: sample.largest)),
    ),
    (
        "latency of deliveries, s",
        (("median", lambda sample: sample.median), ("99 of 100", lambda sample: sample.slow)),
    ),
    (
        "messages in all queues",
        (("messages", lambda sample: sample.messages), ("age of the oldest, s", lambda sample: sample.oldest_message)),
    ),
    (
        "processes of functions",
        (("processes", lambda sample: sample.workers),),
    ),
    (
        "the local cloud itself: all that was ever recorded",
        (("events, thousands", lambda sample: sample.events / 1000), ("memory, 100 MB", lambda s: s.cloud / 100)),
    ),
)


def draw(samples: Sequence[Sample], file: Path) -> None:
    """Write the picture of the samples to `file`, as SVG. The same samples give the same file."""
    # It takes a second to import, and the tests of all else need it not.
    import matplotlib as mpl  # noqa: PLC0415
    from matplotlib.figure import Figure  # noqa: PLC0415

    style: Any = {
        "svg.hashsalt": "daybook",
        "svg.fonttype": "none",
        "font.size": 9,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "path.simplify": True,
    }
    step = max(len(samples) // _POINTS, 1)
    shown = samples[::step]
    minutes = [sample.minutes for sample in shown]
    with mpl.rc_context(style):
        figure = Figure(figsize=(_WIDTH, _HEIGHT), layout="constrained")
        panels = figure.subplots(len(_PANELS), 1, sharex=True)
        for axes, (title, lines) in zip(panels, _PANELS, strict=True):
            for label, value in lines:
                values = [value(sample) for sample in shown]
                axes.plot(minutes, [float("nan") if one is None else one for one in values], label=label, linewidth=1)
            axes.set_title(title, loc="left", fontsize=9)
            axes.set_ylim(bottom=0)
            axes.grid(axis="y", linewidth=0.3)
            axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False)
        panels[-1].set_xlabel("minutes")
        panels[-1].set_xlim(0, max(minutes))
        figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
