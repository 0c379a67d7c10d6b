"""LaGeM: hierarchical VecSet autoencoder and cascaded latent diffusion for 3D shapes.

    import lagem

    codec = lagem.load_codec("large")
    latents = codec.encode("chair.obj")
    codec.decode(latents, resolution=256).save("chair.glb")
    shapes = lagem.load_cascade("furniture").generate(category="chair", count=4, seed=0)

The public names are loaded when they are first used, so `import lagem` is quick.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lagem.generation.bundle import load_cascade
    from lagem.generation.generator import CascadedGenerator, GeneratedShape
    from lagem.geometry.mesh import Mesh
    from lagem.reconstruction.codec import ShapeCodec, load_codec
    from lagem.reconstruction.latents import Latents

__version__ = "0.2.0"
__all__ = ["CascadedGenerator", "GeneratedShape", "Latents", "Mesh", "ShapeCodec", "load_cascade", "load_codec"]

_DEFINED_IN = {
    "CascadedGenerator": "lagem.generation.generator",
    "GeneratedShape": "lagem.generation.generator",
    "Latents": "lagem.reconstruction.latents",
    "Mesh": "lagem.geometry.mesh",
    "ShapeCodec": "lagem.reconstruction.codec",
    "load_cascade": "lagem.generation.bundle",
    "load_codec": "lagem.reconstruction.codec",
}


def __getattr__(name: str) -> Any:
    """Import and return the public function or class `name`; Python calls this when the name is first used."""
    if name not in _DEFINED_IN:
        raise AttributeError(
            f"module 'lagem' has no attribute {name!r}. Load an autoencoder with lagem.load_codec and a cascade with "
            f"lagem.load_cascade; lagem also has {', '.join(each for each in __all__ if not each.startswith('load'))}. "
            "Import anything else from the module that defines it, for example lagem.models."
        )
    globals()[name] = found = getattr(importlib.import_module(_DEFINED_IN[name]), name)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
