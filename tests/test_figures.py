"""Figures, by their pixels."""

import matplotlib
import numpy as np
import PIL.Image
import pytest
import torch
from matplotlib.figure import Figure

from vaekit.media.figures import save_latent_map, save_lines, save_panels


def colours(path):
    with PIL.Image.open(path) as picture:
        return {tuple(each) for each in np.unique(np.asarray(picture.convert("RGB")).reshape(-1, 3), axis=0).tolist()}


@pytest.mark.parametrize(("classes", "palette"), [(3, "tab10"), (12, "tab20"), (40, "turbo")])
def test_each_class_has_a_colour_of_its_own_in_the_latent_map(classes, palette, tmp_path):
    label = torch.arange(classes).repeat_interleave(20)
    z = torch.stack([label % 7, label // 7], 1) + 0.1 * torch.randn(len(label), 2, generator=torch.manual_seed(0))
    save_latent_map(tmp_path / "map.png", z, label)
    map_ = matplotlib.colormaps[palette] if classes <= 20 else matplotlib.colormaps[palette].resampled(classes)
    expected = np.array([map_(number)[:3] for number in range(classes)]) * 255
    assert len(np.unique(expected.round(), axis=0)) == classes
    drawn = np.array(list(colours(tmp_path / "map.png")))
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
    assert (211, 211, 211) in colours(tmp_path / "map.png")


def test_a_grid_of_lines_names_its_axes(tmp_path, monkeypatch):
    figures = []
    monkeypatch.setattr(Figure, "savefig", lambda figure, *_, **__: figures.append(figure))
    save_lines(tmp_path / "lines.png", torch.randn(4, 12), 2)
    (figure,) = figures
    assert (figure.get_supxlabel(), figure.get_supylabel()) == ("position in the row", "value")


def test_dollars_in_the_name_of_a_series_are_no_formula(tmp_path):
    save_panels(tmp_path / "panels.png", {"$%$ of GDP": lambda axis: axis.plot([1, 2])})
    assert len(colours(tmp_path / "panels.png")) > 1
