"""Tables as CSV text, with one end of line on every system."""

import csv
import io
from collections.abc import Iterable, Sequence


def csv_table(titles: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A line of titles, then a line for each row; None is an empty field."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([titles, *rows])
    return text.getvalue()
