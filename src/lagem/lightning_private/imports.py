"""Makes importing Lightning cheaper."""

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

SIGNAL = "scipy.signal"


@contextmanager
def cheap_imports() -> Iterator[None]:
    """Import Lightning inside the block without two kinds of needless work.

    - Garbage collection is off, and later collections skip all objects that exist when the block ends. Imports make
      380,000 objects that live until the process exits. Without collections that visit them, a fit of two steps takes a
      quarter less CPU time.
    - `scipy.signal` has a placeholder, unless it is already imported. Lightning imports torchmetrics, which imports
      `scipy.signal` only to define its name `hamming` if a version of scipy lacks it. After the block, an import of
      `scipy.signal` gives the real module, without that name. A package that needs it inside the block would fail, so
      import only what a training needs.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    placeholder = ModuleType(SIGNAL)
    placeholder.hamming = None  # type: ignore[attr-defined]
    sys.modules.setdefault(SIGNAL, placeholder)
    try:
        yield
    finally:
        if sys.modules.get(SIGNAL) is placeholder:
            del sys.modules[SIGNAL]
        gc.freeze()
        if was_enabled:
            gc.enable()
