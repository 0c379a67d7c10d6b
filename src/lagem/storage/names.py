"""Names and paths that a file mentions, checked before anything is opened, written or removed by them.

A folder may come from anybody, so a text in its index, shards, tables or cards may be `../../x` or `/etc/x`, and a name
in it may be a symbolic link or a pipe. What such a text names lies inside its own folder, also after all links are
followed, and is a regular file; everything else is refused by one line.
"""

import os
import stat
from contextlib import suppress
from pathlib import Path

LONGEST = 200  # bytes of an id or a name; file names add an ending to it
KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


class NameRefused(ValueError):
    """A text that names no file of its folder, or a path that is no regular file there."""


def is_plain(text: str) -> bool:
    """Whether a text is the name of one file: printable, without slashes or a leading dot, and not too long."""
    return (
        text.isprintable()
        and "/" not in text
        and "\\" not in text
        and text[:1] not in ("", ".")
        and len(text) <= LONGEST
        and (text.isascii() or len(text.encode()) <= LONGEST)
    )


def checked_name(text: object, source: str | Path, *, row: int | None = None) -> str:
    """The name of a file; NameRefused if it is not a plain name.

    Args:
        text: What was read.
        source: The file that it was read from.
        row: Row of a table, from 1, or of a shard, from 0.
    """
    if isinstance(text, str) and is_plain(text):
        return text
    raise NameRefused(
        f"{_place(source, row)}: {_shown(text)} is not the name of a file in this folder; fetch or make it again."
    )


def checked_id(text: object, source: str | Path, *, row: int | None = None) -> str:
    """The id of a shape; NameRefused unless it is a plain name, or plain names between slashes."""
    if isinstance(text, str) and (is_plain(text) or (len(text) <= LONGEST and all(map(is_plain, text.split("/"))))):
        return text
    raise NameRefused(
        f"{_place(source, row)}: {_shown(text)} cannot be an id: printable characters only, at most {LONGEST} bytes, "
        "and no path; fetch or write it again."
    )


def inside(folder: Path, name: str, *, source: str | Path | None = None, row: int | None = None) -> Path:
    """The path of a file below a folder; NameRefused if it leads out of the folder, also by a symbolic link.

    Args:
        folder: The folder.
        name: The path in it, as it was read.
        source: The file that the name was read from; None for the folder.
        row: Row of a table, from 1.
    """
    path, place = folder / name, _place(folder if source is None else source, row)
    try:
        with suppress(FileNotFoundError):
            os.lstat(path)  # `resolve` takes a name that is too long
        target = path.resolve()
        within = target.is_relative_to(folder.resolve())
    except (OSError, RuntimeError, ValueError) as error:  # a name that is too long, a circle of links, a zero byte
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise NameRefused(f"{place}: {_shown(name)} is no path of a file ({reason}).") from None
    if not within:
        raise NameRefused(
            f"{place}: {_shown(name)} leads out of the folder, to {_shown(str(target))}, and is not used; put the file "
            "itself into the folder."
        )
    return path


def regular(path: Path) -> Path:
    """The path of a regular file; NameRefused for anything else, since opening a pipe may wait for ever.

    Raises:
        FileNotFoundError: If there is nothing.
    """
    try:
        mode = os.stat(path).st_mode
    except ValueError as error:  # a zero byte
        raise NameRefused(f"{_shown(str(path))}: is no path ({error}).") from None
    if not stat.S_ISREG(mode):
        raise NameRefused(
            f"{path}: is {KINDS.get(stat.S_IFMT(mode), 'no file')}, but a file is needed; check the path."
        )
    return path


def check_own_folder(folder: Path) -> None:
    """Raise NameRefused if a folder, whose files are written and removed, is a symbolic link to another."""
    if folder.is_symlink():
        raise NameRefused(
            f"{folder}: is a symbolic link to {os.readlink(folder)}, where nothing is written or removed; make it a "
            f"folder, or link all of {folder.parent}."
        )


def _place(source: str | Path, row: int | None) -> str:
    return str(source) if row is None else f"{source}: row {row}"


def _shown(text: object) -> str:
    """The beginning of a text that was read, as an error line shows it."""
    shown = ascii(text) if not isinstance(text, str) or not text.isprintable() else repr(text)
    return shown if len(shown) <= 80 else f"{shown[:76]}…'"
