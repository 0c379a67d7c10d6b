"""Embed texts and images with a CLIP or DINOv2 model in a local folder. The package transformers reads the folder.

Only safetensors weights are read, nothing is downloaded, and no code in the folder is run.

Letters: B texts or images, T tokens, D channels.
"""

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lagem.device import named_device
from lagem.storage.checked.digest import sha256_of

KINDS = ("clip", "dinov2")
DIGITS = 16  # number of digits of the digest in the name of an encoder


class Encoder:
    """A CLIP or DINOv2 model that embeds images and, in the case of CLIP, texts.

    Args:
        folder: Folder of the model, as `save_pretrained` writes it: config.json, safetensors weights, and the settings
            of the tokeniser and of the image processor.
        all_tokens: Keep all tokens of the last layer, instead of the one embedding that stands for the text or image.
        device: Torch device; `auto` for a GPU if there is one.

    Raises:
        ValueError: If the package transformers is missing, or the folder holds no such model.
    """

    def __init__(self, folder: Path, *, all_tokens: bool = False, device: str = "cpu") -> None:
        self._folder, self._all_tokens, self._device = folder, all_tokens, named_device(device)
        self._library = _transformers()
        files = sorted(folder.glob("*.safetensors"))
        if not (folder / "config.json").is_file() or not files:
            raise ValueError(
                f"{folder}: holds no config.json with safetensors weights; give a folder of a CLIP or DINOv2 model."
            )
        self._model = self._read(self._library.AutoModel, use_safetensors=True).to(self._device).eval()
        self._kind: str = self._model.config.model_type
        if self._kind not in KINDS:
            raise ValueError(
                f"{folder}: holds a model of type {self._kind!r}, but must hold one of {', '.join(KINDS)}."
            )
        digest = hashlib.sha256("".join(map(sha256_of, files)).encode()).hexdigest()
        self._name = f"{self._kind} {digest[:DIGITS]}"

    def name_for(self, what: str) -> str:
        """Return the name of this encoder. A file of embeddings records this name.

        With one embedding for each text or image, the name is the same for both, because CLIP embeds them into one
        space. If the encoder keeps all tokens, the names differ, because the tokens of texts and of images are not in
        one space.

        Args:
            what: `text` or `image`.
        """
        return f"{self._name} {what} tokens" if self._all_tokens else self._name

    def texts(self, texts: Sequence[str]) -> NDArray[np.float16]:
        """Return the (B, T, D) embeddings of B texts.

        Raises:
            ValueError: If the model does not embed texts.
        """
        if self._kind != "clip":
            raise ValueError(f"{self._folder}: {self._kind} embeds images, not texts; give a CLIP model.")
        tokenizer = self._read(self._library.AutoTokenizer)
        longest = self._model.config.text_config.max_position_embeddings
        inputs = tokenizer(
            list(texts), padding="max_length", truncation=True, max_length=longest, return_tensors="pt"
        ).to(self._device)
        found = {name: inputs[name] for name in ("input_ids", "attention_mask")}
        return self._embedded(self._model.get_text_features, found)

    def images(self, images: Sequence[NDArray[np.uint8]]) -> NDArray[np.float16]:
        """Return the (B, T, D) embeddings of B images, each (height, width, 3)."""
        processor = self._read(self._library.AutoImageProcessor, backend="pil")
        pixels = processor(images=list(images), input_data_format="channels_last", return_tensors="pt")["pixel_values"]
        function = self._model.get_image_features if self._kind == "clip" else self._model
        return self._embedded(function, {"pixel_values": pixels.to(self._device)})

    @torch.no_grad()
    def _embedded(self, function: Callable[..., Any], inputs: dict[str, Tensor]) -> NDArray[np.float16]:
        """Run the model, and scale each embedding to a root mean square of 1 over its channels.

        Embeddings of different models have different scales without this.
        """
        output = function(**inputs)
        found = output.last_hidden_state if self._all_tokens else output.pooler_output[:, None]
        size = found.float().square().mean(dim=-1, keepdim=True).sqrt().clamp(min=torch.finfo(torch.float32).tiny)
        embedded: NDArray[np.float16] = (found.float() / size).half().cpu().numpy()
        return embedded

    def _read(self, kind: Any, **settings: Any) -> Any:
        try:
            return kind.from_pretrained(self._folder, local_files_only=True, trust_remote_code=False, **settings)
        except Exception as error:  # raised by transformers, tokenizers, safetensors or the disk
            text = " ".join(str(error).split())[:300]
            raise ValueError(
                f"{self._folder}: transformers cannot read it ({type(error).__name__}: {text}); give the whole folder "
                "of a CLIP or DINOv2 model."
            ) from error


def _transformers() -> Any:
    try:
        import transformers
    except ImportError:
        raise ValueError(
            "texts and images are embedded with the package transformers, which is not installed; run "
            "`pip install 'lagem[embed]'`."
        ) from None
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    return transformers
