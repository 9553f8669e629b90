"""Lines over an axis, as SVG: the pictures of the concepts pages."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

Point = tuple[float, float]
LEFT, TOP, WIDE, HIGH = 64, 40, 560, 260
STYLE = "<style>text{font:12px ui-sans-serif,Helvetica,Arial,sans-serif;fill:#24292f}</style>"


@dataclass(frozen=True)
class Line:
    """Points that are joined."""

    points: Sequence[Point]
    colour: str
    broken: bool = False


@dataclass(frozen=True)
class Chart:
    """What stands around the lines. Both axes go from their first tick to their last."""

    told: str
    """For whoever does not see it."""
    title: str
    below: str
    """What the x axis is of."""
    x_ticks: Sequence[float]
    y_ticks: Sequence[float]
    y_text: Callable[[float], str] = "{:g}".format

    def drawn(self, lines: Sequence[Line], named: Mapping[str, str], first: float) -> Iterator[str]:
        """Yield the lines of the file; `named` has the colour of each name, the first of which stands at y `first`."""
        wide, high = LEFT + WIDE + 24, TOP + HIGH + 62
        yield (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide} {high}" role="img" aria-label="{self.told}">'
        )
        yield STYLE
        yield f'<rect width="{wide}" height="{high}" fill="#ffffff"/>'
        yield f'<text x="{LEFT}" y="22" style="font-weight:600">{self.title}</text>'
        yield from self._axes()
        yield from (self._line(each) for each in lines)
        for place, (name, colour) in enumerate(named.items()):
            y = first + 18 * place
            yield f'<text x="{LEFT + WIDE - 4}" y="{y}" text-anchor="end" style="fill:{colour}">{name}</text>'
        yield "</svg>"

    def _axes(self) -> Iterator[str]:
        for value in self.y_ticks:
            y = self._y(value)
            yield f'<line x1="{LEFT}" x2="{LEFT + WIDE}" y1="{y:.1f}" y2="{y:.1f}" stroke="#d0d7de"/>'
            yield f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{self.y_text(value)}</text>'
        for value in self.x_ticks:
            yield f'<text x="{self._x(value):.1f}" y="{TOP + HIGH + 20}" text-anchor="middle">{value:g}</text>'
        yield f'<text x="{LEFT + WIDE / 2}" y="{TOP + HIGH + 44}" text-anchor="middle">{self.below}</text>'

    def _line(self, line: Line) -> str:
        places = " ".join(f"{self._x(x):.1f},{self._y(y):.1f}" for x, y in line.points)
        broken = ' stroke-dasharray="6 4"' if line.broken else ""
        return f'<polyline points="{places}" fill="none" stroke="{line.colour}" stroke-width="2"{broken}/>'

    def _x(self, value: float) -> float:
        first, last = self.x_ticks[0], self.x_ticks[-1]
        return LEFT + WIDE * (value - first) / (last - first)

    def _y(self, value: float) -> float:
        first, last = self.y_ticks[0], self.y_ticks[-1]
        return TOP + HIGH * (1 - (value - first) / (last - first))
