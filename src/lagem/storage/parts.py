"""One of N parts of a job: every N-th item, so parts can run in parallel on any machines."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self, TypeVar

Item = TypeVar("Item")


@dataclass(frozen=True)
class Part:
    """Part `number` of `count`, counted from 0; written I/N."""

    number: int
    count: int

    @classmethod
    def of(cls, text: str) -> Self:
        """Parse I/N; raises ValueError if it is not a valid part."""
        number, _, count = text.partition("/")
        if not (number.isdecimal() and count.isdecimal() and int(number) < int(count)):
            raise ValueError(f"must be I/N with I from 0 to N - 1, such as 0/8, but {text!r} was given.")
        return cls(int(number), int(count))

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"

    def items_of(self, items: Sequence[Item]) -> Sequence[Item]:
        """The items of this part; each item belongs to exactly one part."""
        return items[self.number :: self.count]


def status_line(things: str, *, total: int, done: int, refused: int) -> str:
    """The progress of a job in one line."""
    return f"{total} {things}: {done} done, {refused} refused, {total - done - refused} missing"
