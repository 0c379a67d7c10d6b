"""Write small CLIP and DINOv2 models with random weights into folders that the library `transformers` loads."""

from pathlib import Path

import pytest
import torch


def needs_transformers() -> None:
    try:
        import transformers  # noqa: F401
    except ImportError:
        pytest.skip("needs transformers")


def write_clip(folder: Path) -> Path:
    """Write a CLIP model for texts of up to 12 tokens and images of 32 x 32 pixels, which embeds into 8 channels."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace
    from tokenizers.processors import TemplateProcessing
    from transformers import CLIPConfig, CLIPImageProcessorPil, CLIPModel, PreTrainedTokenizerFast

    words = ["<unk>", "<start>", "<pad>", "a", "chair", "table", "with", "three", "legs", "<end>"]
    tokenizer = Tokenizer(WordLevel({word: number for number, word in enumerate(words)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = Whitespace()
    special = [("<start>", words.index("<start>")), ("<end>", words.index("<end>"))]
    tokenizer.post_processor = TemplateProcessing(single="<start> $A <end>", special_tokens=special)
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="<unk>", bos_token="<start>", eos_token="<end>", pad_token="<pad>"
    ).save_pretrained(folder)
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    text = {**sizes, "vocab_size": len(words), "max_position_embeddings": 12}
    text |= {"bos_token_id": words.index("<start>"), "eos_token_id": words.index("<end>")}
    torch.manual_seed(0)
    vision = {**sizes, "image_size": 32, "patch_size": 16}
    CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=8)).save_pretrained(folder)
    side = {"height": 32, "width": 32}
    CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size=side).save_pretrained(folder)
    return folder


def write_dinov2(folder: Path) -> Path:
    """Write a DINOv2 model that embeds images of 28 x 28 pixels into tokens of 16 channels."""
    from transformers import BitImageProcessorPil, Dinov2Config, Dinov2Model

    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "image_size": 28, "patch_size": 14}
    Dinov2Model(Dinov2Config(**sizes)).save_pretrained(folder)
    side = {"height": 28, "width": 28}
    BitImageProcessorPil(size={"shortest_edge": 28}, crop_size=side).save_pretrained(folder)
    return folder
