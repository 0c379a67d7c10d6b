"""Complete shapes of which only a part was seen."""

from lagem.completion.completer import Completion, complete_shape

__all__ = ["Completion", "complete_shape"]
