"""Furthest point sampling selects the points that its definition names, on every backend."""

import importlib.util

import pytest
import torch

from lagem.models import furthest_points as sampling
from lagem.models.furthest_points import FPSBackend, furthest_point_order


def clouds(batch: int, count: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(batch, count, 3, generator=torch.Generator().manual_seed(seed))


def selection_of_a_loop(points: torch.Tensor, count: int) -> list[int]:
    chosen = [max(range(len(points)), key=lambda i: float(points[i].norm()))]
    while len(chosen) < count:
        chosen.append(
            max(range(len(points)), key=lambda i: min(float((points[i] - points[j]).square().sum()) for j in chosen))
        )
    return chosen


def test_order_matches_the_definition():
    points = clouds(2, 60)
    order = furthest_point_order(points, 20, backend="torch")
    assert order.tolist() == [selection_of_a_loop(cloud, 20) for cloud in points]


def test_a_coarser_level_is_a_prefix():
    points = clouds(3, 300)
    fine = furthest_point_order(points, 64, backend="torch")
    kept = points.gather(1, fine.unsqueeze(-1).expand(-1, -1, 3))
    coarse = furthest_point_order(kept, 16, backend="torch")
    assert torch.equal(coarse, torch.arange(16).expand(3, -1))


def test_selected_points_ignore_the_order_of_the_input():
    points = clouds(1, 100)
    shuffled = points[:, torch.randperm(100, generator=torch.Generator().manual_seed(3))]
    first = points[0, furthest_point_order(points, 30)[0]]
    second = shuffled[0, furthest_point_order(shuffled, 30)[0]]
    assert torch.equal(first, second)


def test_more_anchors_than_points_repeat_the_order():
    order = furthest_point_order(clouds(1, 5), 12)
    assert order[0, :5].sort().values.tolist() == list(range(5))
    assert torch.equal(order[0, 5:10], order[0, :5])


def test_no_points_are_refused():
    with pytest.raises(ValueError, match="at least one point"):
        furthest_point_order(torch.zeros(1, 0, 3), 4)


@pytest.mark.parametrize(("count", "total"), [(32, 500), (128, 2048), (1, 10), (10, 10), (333, 1000)])
def test_torch_cluster_selects_the_same_points(count: int, total: int):
    if importlib.util.find_spec("torch_cluster") is None:
        pytest.skip("needs torch-cluster")
    points = clouds(3, total, seed=count)
    ours = furthest_point_order(points, count, backend="torch")
    theirs = furthest_point_order(points, count, backend="torch_cluster")
    assert torch.equal(ours, theirs)


@pytest.mark.parametrize(("count", "total"), [(32, 500), (128, 2048), (1, 10), (10, 10), (333, 1000), (512, 4096)])
def test_quickfps_selects_the_same_points_in_the_same_order(count: int, total: int):
    if importlib.util.find_spec("torch_quickfps") is None:
        pytest.skip("needs torch-quickfps, which has no wheel for this platform")
    points = clouds(3, total, seed=count)
    assert torch.equal(
        furthest_point_order(points, count, backend="quickfps"), furthest_point_order(points, count, backend="torch")
    )


@pytest.mark.parametrize("installed", [True, False])
def test_auto_takes_quickfps_on_the_cpu_if_it_is_installed(monkeypatch, installed):
    monkeypatch.setattr(sampling.importlib.util, "find_spec", lambda name: object() if installed else None)
    assert sampling._backend_for_cpu(clouds(1, 5)) == ("quickfps" if installed else "torch")


def test_equal_points_are_selected_last():
    points = clouds(1, 50).repeat(1, 3, 1)
    order = furthest_point_order(points, 50)
    assert len({tuple(points[0, index].tolist()) for index in order[0]}) == 50


def test_triton_is_refused_without_a_gpu():
    with pytest.raises(ValueError, match="on a GPU"):
        furthest_point_order(clouds(1, 5), 2, backend="triton")


@pytest.mark.parametrize(
    ("installed", "total", "works", "expected"),
    [
        ({"torch_cluster", "triton"}, 100, True, "torch_cluster"),
        ({"triton"}, 8192, True, "triton"),
        ({"triton"}, 8193, True, "torch"),
        ({"triton"}, 100, False, "torch"),
    ],
)
def test_what_is_taken_on_a_gpu(monkeypatch, installed: set[str], total: int, works: bool, expected: FPSBackend):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name if name in installed else None)
    monkeypatch.setattr(sampling, "_triton_works", lambda device: works)
    assert sampling._backend_for_cuda(clouds(1, total)) == expected


def test_a_triton_that_does_not_work_is_said_and_is_no_error():
    with pytest.warns(UserWarning, match="slow loop.*apt install gcc"):
        assert not sampling._triton_works(torch.device("cpu"))


@pytest.mark.gpu
@pytest.mark.parametrize("backend", ["torch", "triton", "auto"])
@pytest.mark.parametrize(("count", "total"), [(256, 2048), (512, 4096), (10, 10), (333, 1000), (64, 8192), (1, 1)])
def test_cuda_selects_the_same_points(count: int, total: int, backend: FPSBackend):
    points = clouds(4, total)
    on_cpu = furthest_point_order(points, count, backend="torch")
    assert torch.equal(furthest_point_order(points.cuda(), count, backend=backend).cpu(), on_cpu)
