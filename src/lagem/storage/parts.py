"""A share of a work: every N-th item, done by a process of its own, on whatever machine, beside the other shares."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self, TypeVar

Item = TypeVar("Item")


@dataclass(frozen=True)
class Part:
    """Part `number` of `count`, from 0 on; written I/N."""

    number: int
    count: int

    @classmethod
    def of(cls, text: str) -> Self:
        """The part that a user writes as I/N."""
        number, _, count = text.partition("/")
        if not (number.isdecimal() and count.isdecimal() and int(number) < int(count)):
            raise ValueError(f"--part is {text!r}, but must be I/N with I from 0 to N - 1, such as 0/8.")
        return cls(int(number), int(count))

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"

    def share(self, items: Sequence[Item]) -> Sequence[Item]:
        """This part's items; each item is in one part."""
        return items[self.number :: self.count]


def status_line(things: str, *, total: int, done: int, refused: int) -> str:
    """How far a work is, by what lies in its folder."""
    return f"{total} {things}: {done} done, {refused} refused, {total - done - refused} missing"
