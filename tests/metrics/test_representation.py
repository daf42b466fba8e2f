"""Codes that determine the class, do not, or only non-linearly."""

import numpy as np
import pytest

from vaekit.metrics.representation import representation

RANDOM = np.random.default_rng(0)
LABEL = RANDOM.integers(4, size=800)
PLACES = np.array([[0, 0], [9, 0], [0, 9], [9, 9]])


def halves(codes):
    return representation(codes[:400], LABEL[:400], codes[400:], LABEL[400:])


def test_separate_classes_are_recognized_by_all_metrics():
    figures = halves(PLACES[LABEL] + RANDOM.normal(size=(800, 2)))
    assert min(figures.values()) > 0.98


def test_noise_has_no_information():
    figures = halves(RANDOM.normal(size=(800, 2)))
    assert figures["linear_probe"] == pytest.approx(0.25, abs=0.1)
    assert figures["knn"] == pytest.approx(0.25, abs=0.1)
    assert max(figures["nmi"], figures["ari"]) < 0.05


def test_a_ring_around_a_class_is_separable_by_neighbors_but_not_linearly():
    angle, radius = RANDOM.uniform(0, 2 * np.pi, 800), 1 + 3.0 * (LABEL % 2)
    codes = np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1)
    figures = representation(codes[:400], LABEL[:400] % 2, codes[400:], LABEL[400:] % 2)
    assert figures["knn"] > 0.98
    assert figures["linear_probe"] < 0.7
