"""Meshes that cannot be prepared: each is listed with its reason, and the others are prepared."""

import pytest

from lagem.geometry.mesh import Mesh
from lagem.preparation import pipeline
from lagem.preparation.pipeline import prepare
from lagem.prepared.shards import Shards
from lagem.sources.child import Died, NeededTooMuchMemory, TookTooLong


def test_refused_meshes_are_named_with_their_reason_and_the_others_go_on(folder, tmp_path, small, in_this_process):
    records = prepare([folder], tmp_path / "out", small)
    refused = {record.id: record.reason for record in records if record.status == "refused"}
    assert set(refused) == {"boxes__open", "boxes__empty", "boxes__words"}
    assert "edges are open" in refused["boxes__open"]
    assert "empty" in refused["boxes__empty"]
    assert len(Shards(tmp_path / "out")) == 7
    table = (tmp_path / "out" / "table.csv").read_text()
    assert all(reason in table.replace('""', '"') for reason in refused.values())


def test_an_endless_reason_is_cut_and_stays_readable(folder, tmp_path, small, in_this_process):
    (folder / "boxes" / "endless.off").write_text(f"OFF\n3 1 0\n0 0 {'x' * 200_000}\n1 0 0\n0 1 0\n3 0 1 2\n")
    for _ in range(2):
        records = {record.id: record for record in prepare([folder], tmp_path / "out", small)}
        assert 100 < len(records["boxes__endless"].reason) < 600


def test_a_missing_library_ends_the_batch_and_refuses_no_mesh(folder, tmp_path, small, in_this_process, monkeypatch):
    def broken(path, *rest):
        raise ImportError("rays and pictures need embreex")

    with monkeypatch.context() as patch, pytest.raises(ValueError, match="need embreex"):
        patch.setattr(pipeline, "prepare_shape", broken)
        prepare([folder], tmp_path / "out", small)
    prepare([folder], tmp_path / "out", small)
    assert len(Shards(tmp_path / "out")) == 7


def test_refused_meshes_are_tried_again_when_asked(folder, tmp_path, small, in_this_process, box):
    out = tmp_path / "out"
    prepare([folder], out, small)
    Mesh(box.vertices, box.faces).save(folder / "boxes" / "open.ply")  # repaired
    assert len(Shards(out)) == 7
    prepare([folder], out, small)
    assert len(Shards(out)) == 7
    records = prepare([folder], out, small, retry_refused=True)
    assert len(Shards(out)) == 8
    assert {record.id for record in records if record.status == "refused"} == {"boxes__empty", "boxes__words"}


@pytest.mark.parametrize(
    ("failure", "reason"),
    [
        (Died(-9), "the worker process died (signal SIGKILL)"),
        (TookTooLong(5), "took longer than 5 s; simplify the mesh, or use --retry-refused with a larger --time-limit"),
        (
            NeededTooMuchMemory(2**30),
            "needed more than 1.0 GiB of memory; "
            "simplify the mesh, or use --retry-refused with a larger --memory-limit",
        ),
    ],
)
def test_a_worker_that_fails_costs_its_mesh_only(
    failure, reason, folder, tmp_path, small, in_this_process, monkeypatch
):
    alive = pipeline.run_in_processes

    def run(function, items, *, workers, limits):
        return (
            (item, failure if item.id == "boxes__box_1" else result)
            for item, result in alive(function, items, workers=1, limits=limits)
        )

    monkeypatch.setattr(pipeline, "run_in_processes", run)
    records = {record.id: record for record in prepare([folder], tmp_path / "out", small)}
    assert records["boxes__box_1"].reason == reason
    assert "boxes__box_1" not in Shards(tmp_path / "out").ids
    assert len(Shards(tmp_path / "out")) == 6


def test_an_unexpected_error_names_its_kind(folder, tmp_path, small, in_this_process, monkeypatch):
    def broken(path, *rest):
        raise KeyError("area")

    monkeypatch.setattr(pipeline, "prepare_shape", broken)
    records = prepare([folder], tmp_path / "out", small)
    assert {record.reason for record in records} == {"KeyError: 'area'"}
    assert len(Shards(tmp_path / "out")) == 0
