"""Tokens a second of every peer at every number of clients, as bars in an SVG."""

from __future__ import annotations

from html import escape

from benchmarks.local.report import Results

COLOURS = ("#1f6f8b", "#99b898", "#e08e45", "#7a5c99")
HEIGHT, TOP, LEFT, BOTTOM = 260, 40, 50, 40
BAR, GAP = 26, 30
TICKS = 4


def bars(results: Results) -> str:
    """Medians over the rounds."""
    names, levels = results.names(), results.levels()
    rates = {
        (name, clients): results.median(name, clients, lambda load: load.rate)
        for name in names
        for clients in levels
    }
    most = max(rates.values())
    group = BAR * len(names) + GAP
    width = LEFT + group * len(levels) + GAP
    parts = _ticks(most, width)
    for at, clients in enumerate(levels):
        left = LEFT + GAP // 2 + at * group
        for index, name in enumerate(names):
            rate = rates[name, clients]
            height = rate / most * HEIGHT
            x, y = left + index * BAR, TOP + HEIGHT - height
            parts.append(
                f'<rect x="{x}" y="{y:.1f}" width="{BAR - 2}" height="{height:.1f}" '
                f'fill="{COLOURS[index % len(COLOURS)]}"/>'
            )
            parts.append(_text(x + BAR / 2 - 1, y - 4, f"{rate:.0f}", size=9))
        middle = left + BAR * len(names) / 2
        parts.append(_text(middle, TOP + HEIGHT + 16, f"{clients} clients"))
    for index, name in enumerate(names):
        x = LEFT + index * 110
        parts.append(f'<rect x="{x}" y="8" width="10" height="10" fill="{COLOURS[index % 4]}"/>')
        parts.append(_text(x + 14, 17, name, anchor="start"))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{max(width, LEFT + 110 * len(names))}" '
        f'height="{TOP + HEIGHT + BOTTOM}" font-family="sans-serif">\n'
        '<rect width="100%" height="100%" fill="white"/>\n' + "\n".join(parts) + "\n</svg>\n"
    )


def _ticks(most: float, width: int) -> list[str]:
    parts = []
    for tick in range(TICKS + 1):
        y = TOP + HEIGHT - HEIGHT * tick / TICKS
        parts.append(f'<path d="M{LEFT} {y}H{width}" stroke="#dddddd"/>')
        parts.append(_text(LEFT - 6, y + 4, f"{most * tick / TICKS:.0f}", anchor="end"))
    parts.append(_text(12, TOP - 8, "tokens/s", anchor="start"))
    return parts


def _text(x: float, y: float, words: str, *, anchor: str = "middle", size: int = 11) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}">'
        f"{escape(words)}</text>"
    )
