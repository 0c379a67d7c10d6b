"""Charts as SVG pictures, which need no script and are sharp in print."""

import math
from collections.abc import Callable, Sequence

from lagem.reports.page.content import Chart

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 360, 200, 44, 10, 12, 22
LOGARITHMIC_FROM = 50.0  # the axis is logarithmic if the largest value, divided by the smallest, exceeds this
TICKS = 5
COLOURS = 3
GAP, LETTER = 5, 7  # space between a tick's text and the axis, and the width of a letter of this text
DIGITS = 3  # significant digits of a value

Point = tuple[float, float]


def svg_of(chart: Chart, escaped: Callable[[str], str]) -> str:
    """Return the HTML of a figure that shows a chart. Its legend lists each curve's name, last value and last step.

    The vertical axis is logarithmic if all values are positive and the largest is more than 50 times the smallest.

    Args:
        chart: The chart; each of its curves has at least one point.
        escaped: Makes a text safe in HTML.
    """
    points = [point for curve in chart.curves.values() for point in curve]
    values = [value for _, value in points]
    logarithmic = min(values) > 0 and max(values) / min(values) > LOGARITHMIC_FROM
    upward = _Axis(values, HEIGHT - BOTTOM, TOP, logarithmic=logarithmic)
    ticks = upward.ticks()
    left = max(LEFT, GAP + LETTER * max((len(text) for _, text in ticks), default=0))
    across = _Axis([step for step, _ in points], left, WIDTH - RIGHT, logarithmic=False)
    shapes = []
    for tick, text in ticks:
        y = upward.at(tick)
        shapes.append(f'<line class="grid" x1="{left}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        shapes.append(f'<text x="{left - GAP}" y="{y + 3:.1f}" text-anchor="end">{text}</text>')
    for tick, text in across.ticks():
        x = min(across.at(tick), WIDTH - LETTER * len(text) / 2)
        shapes.append(f'<text x="{x:.1f}" y="{HEIGHT - 7}" text-anchor="middle">{text}</text>')
    for number, curve in enumerate(chart.curves.values()):
        drawn = [(across.at(step), upward.at(value)) for step, value in curve]
        if len(drawn) > 1:
            line = " ".join(f"{x:.1f},{y:.1f}" for x, y in drawn)
            shapes.append(f'<polyline class="line-{number % COLOURS}" points="{line}"/>')
        if len(drawn) <= TICKS:
            shapes += [f'<circle class="line-{number % COLOURS}" cx="{x:.1f}" cy="{y:.1f}" r="2.5"/>' for x, y in drawn]
    legend = " · ".join(
        f'<b class="line-{number % COLOURS}">{escaped(name)}</b> {_in_words(curve[-1][1])} at step {curve[-1][0]:,.0f}'
        for number, (name, curve) in enumerate(chart.curves.items())
    )
    scale = ", logarithmic" if logarithmic else ""
    title = escaped(chart.title)
    return (
        f'<figure><svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{title} over training steps">'
        f"{''.join(shapes)}</svg><figcaption>{title}"
        f'<span class="legend">{legend}{scale}</span></figcaption></figure>'
    )


class _Axis:
    """Maps values to positions between `start` and `end`."""

    def __init__(self, values: Sequence[float], start: float, end: float, *, logarithmic: bool) -> None:
        self._logarithmic, self._start, self._end = logarithmic, start, end
        low, high = self._scaled(min(values)), self._scaled(max(values))
        self._only = None if high - low > 1e-12 * max(abs(low), abs(high)) else values[0]  # if all values are equal
        if self._only is not None:
            low, high = low - (abs(low) or 1) / 2, high + (abs(high) or 1) / 2
        self._low, self._high = low, high

    def at(self, value: float) -> float:
        fraction = (self._scaled(value) - self._low) / (self._high - self._low)
        return self._start + fraction * (self._end - self._start)

    def ticks(self) -> list[tuple[float, str]]:
        """Return some round numbers between the ends of the axis, each with its text; if all values are equal, theirs.

        The texts have enough digits to differ.
        """
        if self._only is not None:
            return [(self._only, _in_words(self._only))]
        if self._logarithmic:
            powers = range(math.ceil(self._low), math.floor(self._high) + 1)
            return [(10.0**power, _in_words(10.0**power)) for power in powers][:: max(1, len(powers) // TICKS)]
        rough = (self._high - self._low) / TICKS
        unit = 10.0 ** math.floor(math.log10(rough))
        step = next(factor * unit for factor in (1, 2, 5, 10) if factor * unit >= rough)
        first, last = math.ceil(self._low / step), math.floor(self._high / step)
        largest = max(abs(first), abs(last)) * step
        digits = max(DIGITS, math.floor(math.log10(largest)) - math.floor(math.log10(step)) + 1)
        return [(number * step, _in_words(number * step, digits)) for number in range(first, last + 1)]

    def _scaled(self, value: float) -> float:
        return math.log10(value) if self._logarithmic else value


def _in_words(value: float, digits: int = DIGITS) -> str:
    in_full = value == round(value) and 1 <= abs(value) < 10 ** max(6, digits)
    return f"{value:,.0f}" if in_full else f"{value:.{digits}g}"
