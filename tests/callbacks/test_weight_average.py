"""WeightAverage computes the same averages as Lightning's EMAWeightAveraging."""

import pytest
import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import EMAWeightAveraging, ModelCheckpoint
from torch.utils.data import DataLoader

from lagem.callbacks.weight_average import WeightAverage


class Line(LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.line = torch.nn.Linear(4, 2)
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))

    def training_step(self, batch, batch_idx):
        self.steps += 1
        return (self.line(batch).sum(dim=1) - batch.sum(dim=1)).square().mean()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


def fit(folder, averaging, epochs=1, ckpt_path=None):
    torch.manual_seed(0)
    module = Line()
    data = DataLoader(torch.randn(32, 4, generator=torch.Generator().manual_seed(0)), batch_size=4)
    trainer = Trainer(
        max_epochs=epochs,
        callbacks=[averaging, ModelCheckpoint(folder, filename="{epoch}", save_top_k=-1)],
        default_root_dir=folder,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        accelerator="cpu",
    )
    trainer.fit(module, data, ckpt_path=ckpt_path, weights_only=True)
    return module


def test_the_average_is_lightnings_up_to_rounding(tmp_path):
    ours = fit(tmp_path / "ours", WeightAverage(decay=0.7))
    theirs = fit(tmp_path / "theirs", EMAWeightAveraging(decay=0.7))
    for one, other in zip(ours.state_dict().values(), theirs.state_dict().values(), strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize(
    ("first", "second"), [(EMAWeightAveraging, WeightAverage), (WeightAverage, EMAWeightAveraging)]
)
def test_either_resumes_a_checkpoint_of_the_other(tmp_path, first, second):
    whole = fit(tmp_path / "whole", EMAWeightAveraging(decay=0.7), epochs=2)
    fit(tmp_path / "first", first(decay=0.7))
    resumed = fit(tmp_path / "second", second(decay=0.7), epochs=2, ckpt_path=tmp_path / "first" / "epoch=0.ckpt")
    for one, other in zip(resumed.state_dict().values(), whole.state_dict().values(), strict=True):
        torch.testing.assert_close(one, other)
