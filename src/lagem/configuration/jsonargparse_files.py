"""The configurations that jsonargparse reads, each checked before it is parsed.

jsonargparse reads a file without a bound, and a value of a command line or of another file may name a further file.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jsonargparse
import yaml
from jsonargparse.typing import Path as JsonargparsePath

MODE = "omegaconf+"  # its own loader is that of YAML; interpolations are resolved later


class RefusedConfigurationError(Exception):
    """A refused configuration; no ValueError, which jsonargparse would take for a value of the wrong type."""


@contextmanager
def checked_configurations(read: Callable[[Path], str], check: Callable[[str, str], None]) -> Iterator[None]:
    """Inside the `with`, read and check every configuration so; raises RefusedConfigurationError.

    Args:
        read: Returns the text of a file; raises ValueError to refuse it.
        check: Takes a text and where it is from; raises ValueError to refuse it.
    """
    read_unbounded = JsonargparsePath.read_text
    load = jsonargparse.get_loader("yaml")

    def read_text(path: Any) -> str:
        if path.is_url or path.is_fsspec or str(path) == "-":
            return read_unbounded(path)
        with refusals():
            text = read(Path(path.absolute))
            check(text, str(path))
        return text

    def checked_load(text: str) -> Any:
        with refusals():
            check(text, "a configuration given as text")
        return load(text)

    JsonargparsePath.read_text = read_text  # type: ignore[method-assign,assignment]
    jsonargparse.set_loader(MODE, checked_load, (yaml.YAMLError,))
    try:
        yield
    finally:
        JsonargparsePath.read_text = read_unbounded  # type: ignore[method-assign]
        jsonargparse.set_loader(MODE, load, (yaml.YAMLError,))


@contextmanager
def refusals() -> Iterator[None]:
    """Turn a ValueError into a RefusedConfigurationError."""
    try:
        yield
    except ValueError as error:
        raise RefusedConfigurationError(str(error)) from error
