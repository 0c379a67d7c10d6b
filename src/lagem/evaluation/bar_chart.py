"""A picture of bars in groups, such as the scores of several methods in each category."""

from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from lagem.geometry.picture import INK, MARGIN, Picture

COLOURS = ((90, 110, 150), (220, 140, 60), (90, 160, 110), (170, 90, 150), (130, 130, 130))
BAR, LENGTH, GAP = 12, 420, 10  # pixels: thickness of a bar, longest bar, space between groups
SIZE = 13  # pixels: height of the text


def bar_chart(title: str, groups: Sequence[str], bars: Mapping[str, Sequence[float | None]]) -> Picture:
    """Draw horizontal bars, group by group, each with its value.

    Args:
        title: Text above the bars.
        groups: Names of the groups.
        bars: For each method, by name: one value per group, at least 0, or None to draw no bar.

    Returns:
        (height, width, 3) uint8.
    """
    font = ImageFont.load_default(size=SIZE)
    left = int(max(font.getlength(group) for group in groups)) + 2 * MARGIN
    largest = max((value for values in bars.values() for value in values if value is not None), default=0) or 1.0
    block = len(bars) * BAR + GAP
    top = SIZE + 2 * MARGIN + len(bars) * (SIZE + MARGIN)
    sheet = Image.new("RGB", (left + LENGTH + 80, top + len(groups) * block + MARGIN), "white")
    pen = ImageDraw.Draw(sheet)
    pen.text((MARGIN, MARGIN), title, fill=INK, font=font)
    for number, (name, values) in enumerate(bars.items()):
        colour = COLOURS[number % len(COLOURS)]
        y = SIZE + 2 * MARGIN + number * (SIZE + MARGIN)
        pen.rectangle((MARGIN, y, MARGIN + SIZE, y + SIZE), fill=colour)
        pen.text((2 * MARGIN + SIZE, y), name, fill=INK, font=font)
        for row, value in enumerate(values):
            y = top + row * block + number * BAR
            if value is not None:
                pen.rectangle((left, y, left + LENGTH * value / largest, y + BAR - 2), fill=colour)
                pen.text((left + LENGTH * value / largest + 4, y - 1), f"{value:.2f}", fill=INK, font=font)
    for row, group in enumerate(groups):
        pen.text((MARGIN, top + row * block + len(bars) * BAR / 2), group, fill=INK, font=font, anchor="lm")
    return np.array(sheet)
