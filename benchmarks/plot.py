"""Plots of all suites, in one manner: small SVG files that are the same for the same figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

Points = Sequence[tuple[float, float]]
SIZE = (6.4, 3.6)
"""Inches, of 72 points."""


def lines(
    path: Path,
    title: str,
    across: str,
    up: str,
    series: Mapping[str, Points],
    *,
    log: str = "xy",
) -> Path:
    """One line for each of the series, with its points; the labels name units. ``log`` names the
    axes that are logarithmic; the other begins at nothing.
    """
    with _drawn(path, title) as axes:
        for name, points in series.items():
            axes.plot(*zip(*points, strict=True), marker="o", markersize=3.5, label=name)
        if "x" in log:
            axes.set_xscale("log")
        if "y" in log:
            axes.set_yscale("log")
        else:
            axes.set_ylim(bottom=0)
        axes.set_xlabel(across)
        axes.set_ylabel(up)
        axes.grid(visible=True, which="major", linewidth=0.4, alpha=0.6)
        if len(series) > 1:
            axes.legend(frameon=False, fontsize=8)
    return path


def bars(path: Path, title: str, across: str, values: Mapping[str, float]) -> Path:
    """One bar for each value, from above, with the value written behind it."""
    with _drawn(path, title) as axes:
        drawn = axes.barh(list(values), list(values.values()), color="#4c72b0")
        labels = [f"{value:,.0f}" if value >= 100 else f"{value:.3g}" for value in values.values()]
        axes.bar_label(drawn, labels, padding=3, fontsize=8)
        axes.invert_yaxis()
        axes.margins(x=0.15)
        axes.set_xlabel(across)
        axes.grid(visible=True, axis="x", linewidth=0.4, alpha=0.6)
    return path


class _drawn:  # noqa: N801 - it is called like a function
    """``with _drawn(path, title) as axes``: written at the end."""

    def __init__(self, path: Path, title: str) -> None:
        self._path = path
        self._title = title

    def __enter__(self) -> Any:
        import matplotlib  # noqa: PLC0415 - only `make bench` has it, and rendering the page needs none
        from matplotlib.figure import Figure  # noqa: PLC0415 - the same

        # Texts stay texts, and ids are those of the last run.
        matplotlib.rcParams.update(
            {"svg.fonttype": "none", "svg.hashsalt": "gateway", "font.family": "sans-serif"}
        )
        self._figure = Figure(figsize=SIZE, layout="constrained")
        axes = self._figure.subplots()
        axes.set_title(self._title, fontsize=10)
        axes.spines[["top", "right"]].set_visible(False)
        return axes

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if error is None:
            self._figure.savefig(self._path, format="svg", metadata={"Date": None})
