"""Structural similarity, against scikit-learn's digits and a plain reference of windows."""

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter, zoom
from sklearn.datasets import load_digits

from vaekit.similarity import scales, ssim


def reference(a, b):
    """Window by window, each with the weights of a Gaussian, at the places where it lies within the image."""
    place = np.arange(11) - 5
    line = np.exp(-0.5 * (place / 1.5) ** 2)
    weight = np.outer(line, line) / np.outer(line, line).sum()
    found = []
    for i in range(a.shape[0] - 10):
        for j in range(a.shape[1] - 10):
            x, y = a[i : i + 11, j : j + 11], b[i : i + 11, j : j + 11]
            mx, my = (weight * x).sum(), (weight * y).sum()
            vx, vy = (weight * (x - mx) ** 2).sum(), (weight * (y - my) ** 2).sum()
            cov = (weight * (x - mx) * (y - my)).sum()
            found.append((2 * mx * my + 1e-4) * (2 * cov + 9e-4) / ((mx**2 + my**2 + 1e-4) * (vx + vy + 9e-4)))
    return np.mean(found)


def test_ssim_counts_windows_that_lie_within_the_image():
    digits = [zoom(image, 3.5, order=1)[:28, :28] / 16 for image in load_digits().images[:5]]
    blurred = [gaussian_filter(image, 1.5) for image in digits]
    x, y = (torch.from_numpy(np.stack(each)).unsqueeze(1) for each in (digits, blurred))
    expected = [reference(a, b) for a, b in zip(digits, blurred, strict=True)]
    assert ssim(x, y).tolist() == pytest.approx(expected, abs=1e-9)
    assert ssim(x.float(), y.float()).tolist() == pytest.approx(expected, abs=1e-4)
    assert ssim(x, x).tolist() == pytest.approx([1.0] * 5)


def test_a_scale_is_used_where_the_window_fits():
    assert [scales(side, 11) for side in (10, 11, 21, 22, 28, 44, 176, 1000)] == [0, 1, 1, 2, 2, 3, 5, 5]
