"""An experiment with impossible sizes is refused before anything of such a size is made."""

from pathlib import Path

import pytest
import yaml

from lagem.training.description import describe_experiment

EXPERIMENTS = Path(__file__).resolve().parents[2] / "experiments"


@pytest.mark.parametrize(
    ("name", "change", "reason"),
    [
        ("autoencoder/toy", lambda model, _: model["levels"][0].update(depth=500), "502 blocks"),
        ("cascade/toy/level_3", lambda model, _: model.update(depth=10**7), "10,000,000 blocks"),
        ("autoencoder/toy", lambda model, _: model.update(width=2**62), "width"),
        ("autoencoder/toy", lambda _, data: data.update(num_volume_queries=2**62), "num_volume_queries must be"),
        ("autoencoder/toy", lambda _, data: data.update(num_surface_points=10**30), "num_surface_points must be"),
        ("autoencoder/toy", lambda _, data: data.update(batch_size=-1), "batch_size must be .*, but -1 was"),
        ("cascade/toy/level_3", lambda model, _: model.update(width=2**62), "width must be from 0 to"),
        ("autoencoder/toy", lambda model, _: model.update(width=2**24), "too large to describe"),
        ("cascade/toy/level_3", lambda _, data: data.update(batch_size=2**53), "batch_size must be"),
        ("autoencoder/toy", lambda _, data: data.update(num_train=10**18), "num_train must be from 0 to 10,000,000"),
    ],
)
def test_sizes_that_no_model_can_have_are_refused(name, change, reason, tmp_path):
    experiment = yaml.safe_load((EXPERIMENTS / f"{name}.yaml").read_text())
    change(experiment["model"]["init_args"], experiment["data"]["init_args"])
    (tmp_path / "x.yaml").write_text(yaml.safe_dump(experiment))
    with pytest.raises(ValueError, match=rf"x\.yaml: .*{reason}"):
        describe_experiment(tmp_path / "x.yaml")


def test_a_trainer_that_is_a_number_is_refused(tmp_path):
    experiment = yaml.safe_load((EXPERIMENTS / "autoencoder/toy.yaml").read_text())
    experiment["data"]["init_args"]["num_near_queries"] = 256
    (tmp_path / "x.yaml").write_text(yaml.safe_dump(experiment | {"trainer": 5}))
    with pytest.raises(ValueError, match=r"x\.yaml: trainer must be a mapping of its settings, but it is 5"):
        describe_experiment(tmp_path / "x.yaml")
