"""A fingerprint tells autoencoders apart by what they compute, and by nothing else."""

import pytest
import torch
from lightning.pytorch import Trainer

from lagem.levels import LevelSpec
from lagem.models.autoencoder import Autoencoder
from lagem.modules.autoencoder import AutoencoderModule
from lagem.weights.autoencoder import load_autoencoder, save_autoencoder
from lagem.weights.fingerprint import check_fingerprint, fingerprint_of

LEVELS = [LevelSpec(16, 4, 1), LevelSpec(4, 6, 0)]


def tiny(levels: list[LevelSpec] = LEVELS, **kwargs) -> Autoencoder:
    torch.manual_seed(0)
    return Autoencoder(levels=levels, width=64, **kwargs)


def test_checkpoint_and_safetensors_of_the_same_weights_agree(tmp_path):
    module = AutoencoderModule(levels=LEVELS, width=64)
    trainer = Trainer(accelerator="cpu", logger=False, enable_progress_bar=False)
    trainer.strategy.connect(module)
    trainer.save_checkpoint(tmp_path / "tiny.ckpt")
    save_autoencoder(module.autoencoder, tmp_path / "tiny.safetensors", num_surface_points=77)
    loaded = [load_autoencoder(tmp_path / f"tiny.{ending}")[0] for ending in ("ckpt", "safetensors")]
    assert {fingerprint_of(autoencoder) for autoencoder in loaded} == {fingerprint_of(module.autoencoder)}


def test_mode_and_backend_are_not_part_of_it():
    assert fingerprint_of(tiny().eval()) == fingerprint_of(tiny(fps="torch", checkpoint_activations=True).train())


def test_every_weight_is_part_of_it():
    autoencoder = tiny()
    found = {fingerprint_of(autoencoder)}
    for parameter in autoencoder.parameters():
        with torch.no_grad():
            parameter.view(-1)[-1] += 1e-3
        found.add(fingerprint_of(autoencoder))
    assert len(found) == 1 + len(list(autoencoder.parameters()))


def test_sizes_that_no_weight_shows_are_part_of_it():
    others = [tiny(), tiny(skip="single"), tiny([LevelSpec(17, 4, 1), LEVELS[1]])]
    states = [autoencoder.state_dict() for autoencoder in others]
    assert all(torch.equal(state[name], states[0][name]) for state in states for name in states[0])
    assert len({fingerprint_of(autoencoder) for autoencoder in others}) == 3


def test_it_is_the_same_on_every_machine():
    """The weights come from a formula without rounding, so the fingerprint depends only on how it is defined."""
    autoencoder = Autoencoder(levels=[LevelSpec(4, 2, 0)], width=64)
    with torch.no_grad():
        for parameter in autoencoder.parameters():
            parameter.copy_(torch.arange(parameter.numel()).remainder(256).div(256).view_as(parameter))
    assert fingerprint_of(autoencoder) == "51f85434f643bc7d"


def test_what_does_not_belong_is_named():
    check_fingerprint("abc", "abc", "the stage level_2.ckpt")
    with pytest.raises(ValueError, match=r"^the stage level_2.ckpt does not belong to this autoencoder.*def.*abc"):
        check_fingerprint("abc", "def", "the stage level_2.ckpt")
