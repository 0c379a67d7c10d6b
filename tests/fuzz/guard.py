"""Stop a reader of damaged files that writes outside its folder, starts a program or opens a connection.

An audit hook of Python raises an error and records the event, so a reader that catches the error is found as well.
The hook cannot be removed, so only worker processes install it.
"""

import os
import sys
from typing import Any

WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
PATHS_OF = {  # by audit event: the positions of the arguments that are paths which the event changes
    "os.remove": (0,),
    "os.rmdir": (0,),
    "os.mkdir": (0,),
    "os.rename": (0, 1),
    "os.link": (1,),
    "os.symlink": (1,),
    "os.truncate": (0,),
    "os.chmod": (0,),
    "os.chown": (0,),
    "os.utime": (0,),
    "shutil.rmtree": (0,),
}
NEVER = {"os.system", "os.exec", "os.posix_spawn", "os.spawn", "subprocess.Popen", "socket.connect", "pty.spawn"}


class ForbiddenError(Exception):
    """Raised when a reader of damaged files does what the guard forbids."""


class Guard:
    """Confines a process to one folder at a time.

    found: descriptions of the events that were refused since `confine` was last called.
    """

    def __init__(self) -> None:
        self._folder: str | None = None
        self.found: list[str] = []
        sys.addaudithook(self._audit)

    def confine(self, folder: str | None) -> None:
        """From now on, allow writing only below `folder`; if it is None, allow everything."""
        self._folder, self.found = folder, []

    def _audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self._folder is None:
            return
        if event in NEVER:
            self._refuse(f"{event} {arguments!r:.300}")
        if event == "open":
            path, mode, flags = arguments
            writes = flags & WRITING if isinstance(flags, int) else mode and set(mode) & set("wax+")
            changed = [path] if writes else []
        else:
            changed = [arguments[index] for index in PATHS_OF.get(event, ())]
        for path in changed:
            if isinstance(path, str | bytes | os.PathLike) and not self._is_inside(os.fsdecode(path), event == "open"):
                self._refuse(f"{event} {os.fsdecode(path)!r}")

    def _is_inside(self, path: str, follow: bool) -> bool:
        folder, self._folder = self._folder, None  # allows what realpath does
        try:
            head, tail = os.path.split(path)
            found = os.path.realpath(path) if follow else os.path.join(os.path.realpath(head), tail)
        finally:
            self._folder = folder
        return path == os.devnull or found.startswith(f"{folder}/")

    def _refuse(self, what: str) -> None:
        self.found.append(what)
        raise ForbiddenError(what)
