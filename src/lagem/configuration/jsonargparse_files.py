"""Makes jsonargparse check each configuration before parsing it.

jsonargparse itself reads files of any size, and a value on the command line or in a file may name another file to read.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jsonargparse
import yaml
from jsonargparse.typing import Path as JsonargparsePath

MODE = "omegaconf+"  # the parser mode that resolves interpolations, after a loader has read the YAML


class RefusedConfigurationError(Exception):
    """Raised for a refused configuration.

    It is not a ValueError, because to jsonargparse a ValueError means that a value has the wrong type.
    """


@contextmanager
def checked_configurations(read: Callable[[Path], str], check: Callable[[str, str], None]) -> Iterator[None]:
    """Inside the `with`, make jsonargparse read configuration files by `read`, and check all configurations by `check`.

    Args:
        read: Returns the text of a file; raises ValueError to refuse the file.
        check: Checks a text, given the name of its source; raises ValueError to refuse the text.

    Raises:
        RefusedConfigurationError: If one of the functions refuses a configuration.
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
    """Turn a ValueError inside the `with` into a RefusedConfigurationError."""
    try:
        yield
    except ValueError as error:
        raise RefusedConfigurationError(str(error)) from error
