"""The ladders: their sizes, where they stop, the power they grow with, the table and the picture."""

import dataclasses

import pytest

from dimref.bench import growth, picture, report, workers


@pytest.fixture
def options(tiny_layouts):
    return growth.Options(
        candidates=256, train_images=5000, encode_images=1500, backend="numpy", batch=4, threads=1, seconds=0.0,
        layout=tiny_layouts["dim"],
    )  # fmt: skip


class Cost:
    """A worker whose times and peaks are powers of the size."""

    dies_at = None

    def __init__(self, threads):
        pass

    def ask(self, do, n=None, **arguments):
        if do == "describe":
            return {"device": "cpu", "processor": "abacus", "numpy": "2", "blas": "b"}
        if n == self.dies_at:
            raise workers.WorkerFailed(f"{do}: expected an answer, found that the process ended: signal 9")
        times = {
            "infonce": {"loss": 1e-9 * n**2, "gradient": 3e-9 * n**2},
            "train": {"step": 0.5},
            "encode": {"seconds": n / 100},
        }
        return {**times[do], "peak": 16 * n**2 if do == "infonce" else 1000}

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass


def test_ladders_end_on_the_largest_size(options):
    assert options.sizes("infonce") == [64, 128, 256]
    assert options.sizes("train") == [4096, 5000]
    assert options.sizes("encode") == [1024, 1500]
    assert dataclasses.replace(options, candidates=16_384).sizes("infonce")[-2:] == [8192, 16_384]
    assert dataclasses.replace(options, candidates=10).sizes("infonce") == [10]


def test_the_power_is_that_of_the_costs(options):
    wide = dataclasses.replace(options, candidates=1024, train_images=10**6, encode_images=8192)
    result = growth.grow(wide, lambda text: None, Cost)
    assert result["infonce"]["exponent"] == pytest.approx(2)
    assert result["train"]["exponent"] == pytest.approx(0)
    assert result["encode"]["exponent"] == pytest.approx(1)
    assert [row["n"] for row in result["infonce"]["rows"]] == [64, 128, 256, 512, 1024]
    assert growth.exponent(result["infonce"]["rows"][:2], "loss") is None
    one_off = [{"n": n, "cost": cost} for n, cost in ((1, 7.0), (2, 1.0), (4, 100.0), (8, 64.0))]
    assert growth.exponent(one_off, "cost") == pytest.approx(3)
    text = list(report.growth(result))
    assert "  loss and gradient: grows as N to the power 2.00 from 256 to 1,024" in text
    assert max(map(len, text)) <= 100


def test_a_size_that_would_not_fit_is_left_out_with_the_reason(options, monkeypatch):
    monkeypatch.setattr(growth.memory, "available", lambda: 16 * 128**2 * 5)
    result = growth.grow(options, lambda text: None, Cost)
    assert [row["n"] for row in result["infonce"]["rows"]] == [64, 128, 256]  # needs 4 of 5, which is 0.8
    monkeypatch.setattr(growth.memory, "available", lambda: int(16 * 128**2 * 4.9))
    result = growth.grow(options, lambda text: None, Cost)
    assert [row["n"] for row in result["infonce"]["rows"]] == [64, 128]
    assert result["infonce"]["stopped"].startswith("256: left out, it would take about ")
    assert f"  {result['infonce']['stopped']}" in list(report.growth(result))
    odd = dataclasses.replace(options, candidates=200)  # from 128: 1.5625² times as much
    monkeypatch.setattr(growth.memory, "available", lambda: int(16 * 200**2 * 1.3))
    assert growth.grow(odd, lambda text: None, Cost)["infonce"]["stopped"] is None
    monkeypatch.setattr(growth.memory, "available", lambda: int(16 * 200**2 * 1.2))
    assert growth.grow(odd, lambda text: None, Cost)["infonce"]["stopped"].startswith("200: left out")
    monkeypatch.setattr(growth.memory, "available", lambda: None)
    assert growth.grow(options, lambda text: None, Cost)["infonce"]["stopped"] is None


def test_a_size_whose_process_is_killed_ends_its_ladder(options, monkeypatch):
    monkeypatch.setattr(Cost, "dies_at", 128)
    result = growth.grow(options, lambda text: None, Cost)
    assert [row["n"] for row in result["infonce"]["rows"]] == [64]
    assert result["infonce"]["stopped"].startswith("128: infonce: expected an answer")
    assert len(result["encode"]["rows"]) == 2


def test_real_sizes_in_this_process(options, local):
    told = []
    small = dataclasses.replace(options, candidates=100, train_images=64, encode_images=64)
    result = growth.grow(small, told.append, local)
    assert told == ["infonce, 64", "infonce, 100", "train, 64", "encode, 64"]
    assert result["machine"]["backend"] == "numpy"
    assert max(map(len, report.growth(result))) <= 100


def test_a_peak_that_is_not_known_is_a_dash(options, monkeypatch):
    ask = Cost.ask
    monkeypatch.setattr(Cost, "ask", lambda self, do, **rest: {**ask(self, do, **rest), "peak": None})
    assert sum("–" in line for line in report.growth(growth.grow(options, lambda text: None, Cost))) == 7


def test_the_picture_shows_every_row_beside_its_power(options, tmp_path, monkeypatch):
    pytest.importorskip("matplotlib")
    from matplotlib.figure import Figure

    figures = []
    savefig = Figure.savefig
    monkeypatch.setattr(Figure, "savefig", lambda self, *a, **k: (figures.append(self), savefig(self, *a, **k))[1])
    result = growth.grow(options, lambda text: None, Cost)
    result["train"]["rows"] = []
    picture.draw(result, tmp_path / "scale.png")
    assert (tmp_path / "scale.png").read_bytes().startswith(b"\x89PNG")
    assert [path.name for path in tmp_path.iterdir()] == ["scale.png"]
    left, middle, right = figures[0].axes
    lines = {line.get_label(): list(line.get_ydata()) for line in left.get_lines()}
    assert lines["loss and gradient"] == pytest.approx([3e-9 * n**2 for n in (64, 128, 256)])
    assert lines["∝ N²"] == pytest.approx(lines["loss and gradient"])
    assert middle.get_lines()[:] == []
    assert [len(line.get_xdata()) for line in right.get_lines()] == [2, 2]
    assert [label.get_text() for label in right.get_xticklabels()] == ["1k", "1,500"]
