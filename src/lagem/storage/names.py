"""Checks the names and paths that a file contains, before anything with such a name is opened or changed.

A folder may come from anybody. So a text in its index, shards, tables or cards may be `../../x` or `/etc/x`, and a file
in it may be a symbolic link or a pipe. A name is accepted only if it leads to a regular file inside the same folder,
even after all links are followed. Everything else is refused with a message of one line.
"""

import os
import stat
from contextlib import suppress
from pathlib import Path

LONGEST = 200  # most bytes of an id or a name; a file name is longer by its extension
KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


class NameRefused(ValueError):
    """Raised if a name, an id or a path is refused, such as one that leads out of its folder, or to a pipe."""


def is_plain(text: str) -> bool:
    """Return whether a text can name one file: printable, no slash or backslash, no leading dot, and not too long."""
    return (
        text.isprintable()
        and "/" not in text
        and "\\" not in text
        and text[:1] not in ("", ".")
        and len(text) <= LONGEST
        and (text.isascii() or len(text.encode()) <= LONGEST)
    )


def printable(text: str, longest: int | None = None) -> str:
    """Return a text with its unprintable characters escaped; in a text from a file, they could control a terminal.

    Args:
        text: The text.
        longest: The middle of a text with more characters is left out; None to keep all.
    """
    if longest is not None and len(text) > longest:
        text = f"{text[: longest // 2]} … {text[-(longest // 2) :]}"
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)


def checked_name(text: object, source: str | Path, *, row: int | None = None) -> str:
    """Return a text unchanged if it can be the name of one file, without a path; raises NameRefused if it cannot.

    Args:
        text: The text that was read.
        source: The file that it was read from, for messages.
        row: Its row, for messages: counted from 1 in a table, from 0 in a shard.
    """
    if isinstance(text, str) and is_plain(text):
        return text
    raise NameRefused(
        f"{_place(source, row)}: {_shown(text)} cannot be the name of a file; fetch the folder or make it again."
    )


def checked_id(text: object, source: str | Path, *, row: int | None = None) -> str:
    """Return a text unchanged if it can be the id of a shape: the name of a file, or several names joined by slashes.

    The arguments are those of `checked_name`.

    Raises:
        NameRefused: If the text is not such an id.
    """
    if isinstance(text, str) and (is_plain(text) or (len(text) <= LONGEST and all(map(is_plain, text.split("/"))))):
        return text
    raise NameRefused(
        f"{_place(source, row)}: {_shown(text)} cannot be an id: an id has at most {LONGEST} bytes, only "
        f"printable characters, no backslash, and no part that is empty or begins with a dot; fetch {source} or write "
        "it again."
    )


def inside(folder: Path, name: str, *, source: str | Path | None = None, row: int | None = None) -> Path:
    """Return the path of a file inside a folder; the file need not exist.

    Args:
        folder: The folder.
        name: Path of the file in the folder, as it was read.
        source: The file that the name was read from. Error messages begin with it, or with `folder` if it is None.
        row: The name's row in a table, from 1, for messages.

    Raises:
        NameRefused: If the path leads out of the folder, also by a symbolic link, or cannot be a path.
    """
    path, place = folder / name, _place(folder if source is None else source, row)
    try:
        with suppress(FileNotFoundError):
            os.lstat(path)  # fails for a name that is too long, which `resolve` accepts
        target = path.resolve()
        within = target.is_relative_to(folder.resolve())
    except (OSError, RuntimeError, ValueError) as error:  # a name that is too long, a cycle of links, a zero byte
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise NameRefused(f"{place}: {_shown(name)} cannot be the path of a file ({reason}).") from None
    if not within:
        raise NameRefused(
            f"{place}: {_shown(name)} leads out of the folder, to {_shown(str(target))}, so it is not used; put the "
            "file itself into the folder."
        )
    return path


def regular(path: Path) -> Path:
    """Return a path unchanged if it leads to a regular file; anything else is refused, as opening a pipe may hang.

    Raises:
        FileNotFoundError: If nothing has this path.
        NameRefused: If it is not a regular file.
    """
    try:
        mode = os.stat(path).st_mode
    except ValueError as error:  # a zero byte
        raise NameRefused(f"{_shown(str(path))}: cannot be a path ({error}).") from None
    if not stat.S_ISREG(mode):
        raise NameRefused(
            f"{path}: is {KINDS.get(stat.S_IFMT(mode), 'not a file')}, but a file is needed; check the path."
        )
    return path


def check_own_folder(folder: Path) -> None:
    """Raise NameRefused if a folder in which files will be written and removed is a symbolic link."""
    if folder.is_symlink():
        raise NameRefused(
            f"{folder}: is a symbolic link to {os.readlink(folder)}, but files are written and removed here, "
            f"so it must not be a link; replace the link by a folder. The folder above, {folder.parent}, may be a "
            "link."
        )


def _place(source: str | Path, row: int | None) -> str:
    return str(source) if row is None else f"{source}: row {row}"


def _shown(text: object) -> str:
    """Return the beginning of a text that was read, in printable form for an error message."""
    shown = ascii(text) if not isinstance(text, str) or not text.isprintable() else repr(text)
    return shown if len(shown) <= 80 else f"{shown[:76]}…'"
