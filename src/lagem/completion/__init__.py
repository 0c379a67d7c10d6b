"""Complete partial shapes: given the part of a shape that was seen, sample whole shapes that fit it."""

from lagem.completion.completer import Completion, complete_shape

__all__ = ["Completion", "complete_shape"]
