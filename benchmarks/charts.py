"""The charts of docs/performance.md. They need matplotlib, which the extra ``plots`` brings."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path

import matplotlib as mpl
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

from benchmarks.told import Run

PEERS = ("eventsourcing", "eventsource-py")


def draw(folder: Path, run: Run, peers: Run) -> None:
    """Draw every chart as SVG. The same figures give the same files, byte for byte."""
    folder.mkdir(exist_ok=True)
    mpl.rcParams["svg.hashsalt"] = "byjy"
    _chart(folder / "throughput.svg", lambda axes: _throughput(axes, run, peers))
    _chart(folder / "acknowledgement.svg", lambda axes: _acknowledgement(axes, run))
    _chart(folder / "growth.svg", lambda axes: _growth(axes, run))


def _chart(path: Path, draw_on: Callable[[Axes], None]) -> None:
    figure, axes = plt.subplots(figsize=(9, 4.2), layout="constrained")
    draw_on(axes)
    axes.grid(visible=True, which="major", alpha=0.3)
    figure.legend(loc="outside right upper", frameon=False, fontsize="small")  # no line runs behind it
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)


def _throughput(axes: Axes, run: Run, peers: Run) -> None:
    _line(axes, run.medians(r"executemany of ([\d,]+)"), "raw executemany, SQLite", "k--")
    _line(axes, run.medians(r"append, ([\d,]+) producers?"), "byjy-events, SQLite", "C0o-")
    _line(axes, run.medians(r"append, ([\d,]+) producers, PostgreSQL"), "byjy-events, PostgreSQL", "C1o-")
    for number, peer in enumerate(PEERS, 2):
        for database, style in (("SQLite", "s-"), ("PostgreSQL", "s:")):
            found = peers.medians(rf"append, ([\d,]+) producers?, {database}: {re.escape(peer)}")
            _line(axes, found, f"{peer}, {database}", f"C{number}{style}")
    axes.set(xscale="log", yscale="log", xlabel="concurrent producers", ylabel="events a second", title="Appends")


def _acknowledgement(axes: Axes, run: Run) -> None:
    for one in run.figures:
        if one.spread:
            percents = sorted(map(float, one.spread))
            style = ":" if "PostgreSQL" in one.name else "-"
            axes.plot([one.spread[f"{percent:g}"] for percent in percents], percents, style, label=one.name)
    label = "milliseconds until acknowledged"
    axes.set(xscale="log", xlabel=label, ylabel="percent of appends", title="Time to acknowledgement")


def _growth(axes: Axes, run: Run) -> None:
    _line(axes, run.medians(r"append to a log of ([\d,]+)"), "append, 100 producers", "o-")
    _line(axes, run.medians(r"project ([\d,]+) events from nothing"), "project from nothing", "s-")
    axes.set(
        xscale="log", ylim=(0, None), xlabel="events in the log", ylabel="events a second", title="A log that grows"
    )


def _line(axes: Axes, points: Mapping[float, float], label: str, style: str) -> None:
    numbers = sorted(points)
    if numbers:
        axes.plot(numbers, [points[number] for number in numbers], style, label=label)
