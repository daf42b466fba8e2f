"""Figures, by their pixels."""

import matplotlib
import numpy as np
import PIL.Image
import pytest
import torch
from matplotlib.figure import Figure

from helpers import BINARY, SERIES, build, drawn, examples, texts
from vaekit.batch import Batch
from vaekit.media.album import draw_run
from vaekit.media.figures import Headings, heat, save_grid, save_lines
from vaekit.media.medium import medium
from vaekit.media.plots import save_curves, save_latent_map, save_panels
from vaekit.spaces import Image

TITLES = ("Samples", "Reconstructions", "Interpolations", "Posterior means", "Rate of")


def colors(path):
    with PIL.Image.open(path) as picture:
        return {tuple(each) for each in np.unique(np.asarray(picture.convert("RGB")).reshape(-1, 3), axis=0).tolist()}


@pytest.mark.parametrize(("classes", "palette"), [(3, "tab10"), (12, "tab20"), (40, "turbo")])
def test_each_class_has_a_color_of_its_own_in_the_latent_map(classes, palette, tmp_path):
    label = torch.arange(classes).repeat_interleave(20)
    z = torch.stack([label % 7, label // 7], 1) + 0.1 * torch.randn(len(label), 2, generator=torch.manual_seed(0))
    save_latent_map(tmp_path / "map.png", z, label)
    map_ = matplotlib.colormaps[palette] if classes <= 20 else matplotlib.colormaps[palette].resampled(classes)
    expected = np.array([map_(number)[:3] for number in range(classes)]) * 255
    assert len(np.unique(expected.round(), axis=0)) == classes
    drawn = np.array(list(colors(tmp_path / "map.png")))
    assert np.abs(expected[:, None] - drawn).max(2).min(1).max() < 2


def test_the_legend_of_the_latent_map_has_the_names_of_classes(tmp_path, monkeypatch):
    figures = []
    monkeypatch.setattr(Figure, "savefig", lambda figure, *_, **__: figures.append(figure))
    save_latent_map(tmp_path / "map.png", torch.randn(9, 2), torch.arange(9) % 3, {"_cat": 0, "$5 to $9": 2})
    (axis,) = figures[0].axes
    assert [text.get_text() for text in axis.get_legend().get_texts()] == ["_cat", "1", r"\$5 to \$9"]


def test_rows_without_a_label_are_gray(tmp_path):
    z = torch.randn(50, 3, generator=torch.manual_seed(0))
    save_latent_map(tmp_path / "map.png", z, torch.full((50,), -1))
    assert (211, 211, 211) in colors(tmp_path / "map.png")


def test_a_grid_of_lines_names_its_axes(tmp_path, monkeypatch):
    figures = []
    monkeypatch.setattr(Figure, "savefig", lambda figure, *_, **__: figures.append(figure))
    save_lines(tmp_path / "lines.png", torch.randn(4, 12), 2)
    (figure,) = figures
    assert (figure.get_supxlabel(), figure.get_supylabel()) == ("position in the row", "value")


def test_dollars_in_the_name_of_a_series_are_not_a_formula(tmp_path):
    save_panels(tmp_path / "panels.png", {"$%$ of GDP": lambda axis: axis.plot([1, 2])})
    assert len(colors(tmp_path / "panels.png")) > 1


GRAYS = Image((1, 8, 8))


def test_a_grid_without_headings_is_its_pixels_alone(tmp_path):
    x = torch.rand(5, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    save_grid(tmp_path / "grid.png", x, GRAYS, 3)
    with PIL.Image.open(tmp_path / "grid.png") as picture:
        shown = np.asarray(picture.convert("L"))
    assert shown.shape == (2 * 58 + 2, 3 * 58 + 2)
    enlarged = (x[:, 0] * 255).round().byte().numpy().repeat(7, 1).repeat(7, 2)
    assert np.array_equal(shown[2:58, 60:116], enlarged[1]) and np.array_equal(shown[60:116, 2:58], enlarged[3])
    assert (shown[60:, 118:] == 255).all(), "no sixth image"


def test_headings_stand_above_left_of_and_below_the_panels(tmp_path, monkeypatch):
    figures, x = drawn(monkeypatch), torch.rand(4, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    headings = Headings("Title", ("x", "y"), ("1", "2"), ("a", "b", "c", "$d$"), "across", "down")
    save_grid(tmp_path / "grid.png", x, GRAYS, 2, headings)
    (axis,) = figures[0].axes
    assert {"Title", "x", "y", "1", "2", "a", "b", "c", r"\$d\$", "across", "down"} == texts(axis)
    assert [tick.get_text() for tick in axis.get_xticklabels()] == ["x", "y"]
    assert np.allclose(axis.get_xticks(), [2 + 28, 60 + 28]), "over the middle of their columns"
    assert np.allclose(axis.get_yticks(), [2 + 28, 2 + 28 + 78])
    below = {each.get_text(): each.get_position() for each in axis.texts}
    assert below["a"] == (30, 58) and below["c"] == (30, 136)
    with PIL.Image.open(tmp_path / "grid.png") as picture:
        shown = np.asarray(picture.convert("L"))
    row = (x[0, 0, 0] * 255).round().byte().numpy().repeat(7)
    assert any(np.array_equal(row, line[i : i + 56]) for line in shown for i in range(len(line) - 55)), "sharp pixels"


def test_a_long_title_is_about_as_wide_as_the_grid(tmp_path):
    title = " ".join(["word"] * 20)
    save_grid(tmp_path / "long.png", torch.zeros(8, 1, 28, 28), Image((1, 28, 28)), 8, Headings(title))
    with PIL.Image.open(tmp_path / "long.png") as picture:
        assert picture.width < 1.1 * 8 * (56 + 2)


def test_heat_maps_scale_to_the_largest_difference():
    x = torch.full((2, 1, 8, 8), 0.001)
    x[1, 0, 3, 4] = 0.01
    colors, scale = heat(x, GRAYS)
    assert scale.norm.vmax == pytest.approx(0.01, rel=0.5)
    brightness = colors.sum(-1)
    assert brightness[1, 3 * 7, 4 * 7] == brightness.max() > 3 * brightness[0].max()


def metrics_csv(path, rows):
    names = list(dict.fromkeys(name for row in rows for name in row))
    path.write_text("\n".join([",".join(names), *(",".join(str(row.get(name, "")) for name in names) for row in rows)]))
    return path


def curve(axis, label):
    (line,) = [line for line in axis.lines if line.get_label() == label]
    return [*zip(*line.get_data(), strict=True)]


def test_curves_of_a_warm_up_are_drawn_at_the_final_beta(tmp_path, monkeypatch):
    rows = [
        {"step": 9, "train/loss": 10.0, "train/distortion": 10.0, "train/rate": 5.0, "schedule/beta": 0.0},
        {"step": 10, "val/loss": 16.0, "val/distortion": 11.0, "val/rate": 5.0},
        {"step": 19, "train/loss": 11.0, "train/distortion": 8.0, "train/rate": 3.0, "schedule/beta": 1.0},
        {"step": 20, "val/loss": 12.0, "val/distortion": 9.0, "val/rate": 3.0},
        {"step": 30, "val/loss": 13.0, "val/distortion": 9.0, "val/rate": 4.0},
    ]
    figures = drawn(monkeypatch)
    save_curves(tmp_path / "moving.png", metrics_csv(tmp_path / "metrics.csv", rows))
    elbo, _, rate, beta = figures[0].axes
    assert curve(elbo, "training") == [(9, 15), (19, 11)]
    assert curve(elbo, "validation") == [
        (10, 16),
        (20, 12),
        (30, 13),
    ]
    assert elbo.get_title() == "negative ELBO" and curve(rate, "training") == [(9, 5), (19, 3)]
    assert curve(beta, "beta") == [(9, 0), (19, 1)]
    assert {x for x, _ in curve(elbo, "lowest validation loss")} == {20}
    assert {axis.get_ylabel() for axis in (elbo, rate)} == {"nats per example"}

    still = [{name: value for name, value in row.items() if name != "schedule/beta"} for row in rows]
    save_curves(tmp_path / "still.png", metrics_csv(tmp_path / "metrics.csv", still))
    assert [axis.get_title() for axis in figures[1].axes] == ["loss", "distortion", "rate"]
    assert curve(figures[1].axes[0], "training") == [(9, 10), (19, 11)]


def test_lines_with_missing_values_show_single_observed_ones(tmp_path, monkeypatch):
    figures, x = drawn(monkeypatch), torch.arange(6.0)
    masked = torch.where(torch.arange(6) % 2 == 0, x, torch.nan)
    save_lines(
        tmp_path / "lines.png", torch.stack([masked, x]), 2, Headings("Imputed", ("observed", "mean"), ("row 1",))
    )
    observed, mean = figures[0].axes
    assert observed.lines[0].get_marker() == "." and mean.lines[0].get_marker() == "None"
    assert (observed.get_title(), mean.get_title(), mean.get_ylabel()) == ("observed", "mean", "row 1")


def test_series_say_which_line_is_the_reconstruction(tmp_path, monkeypatch):
    figures, x = drawn(monkeypatch), examples(SERIES, 4).x
    medium(SERIES).write(tmp_path / "pairs", x, 8, Headings("Pairs", ("original", "reconstruction")))
    paths = medium(SERIES).paths(x)
    assert len(figures[0].axes) == 2 * 2, "two groups of two series"
    axis = figures[0].axes[3]
    assert figures[0].axes[2].get_legend() is None, "one legend a row"
    assert axis.get_title() == "b, example 2" and {"original", "reconstruction"} <= texts(axis)
    for number, name in ((2, "original"), (3, "reconstruction")):
        assert [y for _, y in curve(axis, name)] == pytest.approx(paths[number, 1].tolist())
    assert len({line.get_color() for line in axis.lines}) == 2


def test_titles_say_which_rows_and_which_weights_are_drawn(tmp_path, monkeypatch):
    vae, _ = build(BINARY, "latents=ladder", "latents.levels=2", "latents.dim=2")
    figures = drawn(monkeypatch)
    draw_run(tmp_path, vae.eval(), Batch(torch.rand(4, 1, 8, 8).round()), {}, "weights of epoch 7")
    of = {name: [text for figure in figures for text in texts(figure) if name in text] for name in TITLES}
    for name, (title,) in of.items():
        title = title.replace("\n", " ")
        assert title.endswith("; weights of epoch 7"), title
        assert "test examples" in title or name == "Samples"


@pytest.mark.long
def test_two_latent_variables_have_a_manifold(tmp_path, monkeypatch):
    vae = build(BINARY, "latents.dim=2")[0].eval()
    figures, z = drawn(monkeypatch), []
    decode = vae.decode
    monkeypatch.setattr(vae, "decode", lambda at, *rest: (z.append(at), decode(at, *rest))[1])
    draw_run(tmp_path, vae, Batch(torch.rand(4, 1, 8, 8).round()), {})
    (grid,) = [each for each in figures if "latent variable 1" in texts(each)]
    (at,) = [each.reshape(15, 15, 2) for each in z if len(each) == 15 * 15]
    assert (at[0, :, 1] == at[0, 0, 1]).all() and (at[:, 0, 0] == at[0, 0, 0]).all()
    assert (at[0, 1:, 0] > at[0, :-1, 0]).all() and (at[1:, 0, 1] < at[:-1, 0, 1]).all(), "to the right and upwards"
    assert at[0, 7, 0].abs() < 0.1 and at[0, -1, 0].item() == pytest.approx(2.05, abs=0.2), "quantiles of N(0, 1)"
    columns = [tick.get_text() for tick in grid.axes[0].get_xticklabels()]
    assert columns == [f"{value:.2f}" for value in at[0, :, 0].tolist()]
