"""Bounds what the interpolations of a configuration, such as `${model.init_args.width}`, become.

OmegaConf resolves them without limit, so a few lines that each name the line before twice would fill the memory.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from jsonargparse import _core
from omegaconf import Container, Node
from omegaconf.basecontainer import BaseContainer
from omegaconf.errors import OmegaConfBaseException

MOST = 1_000_000  # characters and values that interpolations give in all
EACH = 100  # counted for each interpolation in addition, since resolving it takes time


@contextmanager
def bounded_interpolations(refusal: type[Exception]) -> Iterator[None]:
    """Let jsonargparse resolve interpolations only within bounds inside the `with`; raises `refusal` beyond them."""
    apply = _core.omegaconf_apply

    def apply_within_bounds(parser: Any, settings: Any) -> Any:
        count = _Count()
        try:
            with count.of_interpolations():
                return apply(parser, settings)
        except (
            RecursionError,
            OverflowError,
            OmegaConfBaseException,
        ) as error:  # OmegaConf wraps the errors of what it calls
            if count.total <= MOST and "recursion depth" not in str(error):
                raise
            raise refusal(
                f"the configuration's interpolations ${{…}} are nested too deeply, or give more than {MOST:,} "
                "characters; shorten them."
            ) from None

    _core.omegaconf_apply = apply_within_bounds
    try:
        yield
    finally:
        _core.omegaconf_apply = apply


class _Count:
    """Counts what OmegaConf resolves; `total` is the sum so far."""

    def __init__(self) -> None:
        self.total = 0

    @contextmanager
    def of_interpolations(self) -> Iterator[None]:
        """Count inside the `with`, and raise OverflowError above the limit."""
        of_nodes, of_functions = Container._resolve_node_interpolation, Container._evaluate_custom_resolver
        to_plain = BaseContainer._to_content
        Container._resolve_node_interpolation = self._counted(of_nodes)  # type: ignore[method-assign]
        Container._evaluate_custom_resolver = self._counted(of_functions)  # type: ignore[method-assign]
        BaseContainer._to_content = staticmethod(self._counted(to_plain))  # type: ignore[method-assign]
        try:
            yield
        finally:
            BaseContainer._to_content = staticmethod(to_plain)  # type: ignore[method-assign]
            Container._resolve_node_interpolation = of_nodes  # type: ignore[method-assign]
            Container._evaluate_custom_resolver = of_functions  # type: ignore[method-assign]

    def _counted(self, resolve: Callable[..., Any]) -> Callable[..., Any]:
        def resolve_and_count(*args: Any, **kwargs: Any) -> Any:
            if self.total <= MOST:
                value = resolve(*args, **kwargs)
                self.total += EACH + _size(value)
            if self.total > MOST:
                raise OverflowError("the interpolations give too much")
            return value

        return resolve_and_count


def _size(value: Any) -> int:
    """Length of a text or of a container; 1 for any other value."""
    content = value._value() if isinstance(value, Node) else value
    return len(content) if isinstance(content, str | dict | list) else 1
