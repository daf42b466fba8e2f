"""Disentanglement, for codes with known factors."""

import numpy as np
import pytest

from vaekit.metrics.disentanglement import dci, disentanglement, factor_vae, information, mig, modularity, sap

N, F = 2000, 4
RANDOM = np.random.default_rng(0)
FACTORS = RANDOM.integers(5, size=(N, F))
SCALED = (FACTORS - FACTORS.mean(0)) / FACTORS.std(0)
NOISE = RANDOM.normal(size=(N, 10))
NOISY = SCALED + 0.02 * NOISE[:, :F]
A, B, *REST = NOISY.T


def figures(*codes):
    return disentanglement(np.stack(codes, 1), FACTORS)[0]


def test_factors_permuted_and_scaled_are_disentangled():
    for name, value in figures(-3 * REST[1], 2 * A, REST[0], 0.5 * B).items():
        assert value == pytest.approx(1, abs=0.05), name


def test_the_matrices_show_which_code_is_which_factor():
    _, maps = disentanglement(NOISY[:, ::-1], FACTORS)
    assert set(maps) == {"information", "importance"}
    for matrix in maps.values():
        assert matrix == pytest.approx(np.eye(F)[::-1], abs=0.05)


@pytest.mark.long
def test_random_codes_have_no_information():
    found = figures(*NOISE.T)
    for name in ("mig", "dci_disentanglement", "dci_completeness", "dci_informativeness", "sap"):
        assert found[name] == pytest.approx(0, abs=0.05), name
    assert found["factor_vae"] == pytest.approx(1 / F, abs=0.05)
    assert found["modularity"] < 0.5  # the information about noise is not zero: the largest of F small numbers counts


def test_a_factor_split_over_two_codes_lacks_completeness():
    found = figures(A, A + 0.02 * NOISE[:, 5], B, *REST)
    assert found["mig"] == pytest.approx(1 - 1 / F, abs=0.05)
    assert found["sap"] == pytest.approx(1 - 1 / F, abs=0.05)
    assert found["dci_completeness"] < 0.95
    for name in ("dci_disentanglement", "dci_informativeness", "factor_vae", "modularity"):
        assert found[name] == pytest.approx(1, abs=0.02), name


def test_two_factors_in_one_code_lack_disentanglement():
    both = SCALED[:, 0] + 7.1 * SCALED[:, 1]  # 25 values, one for each pair
    found = figures(both, *REST)
    assert found["dci_disentanglement"] == pytest.approx(
        0.75, abs=0.05
    )  # half of what there is, at half: log 2 / log 4
    assert found["factor_vae"] == pytest.approx(0.75, abs=0.05)
    assert found["modularity"] < 0.97
    for name in ("dci_completeness", "dci_informativeness"):
        assert found[name] == pytest.approx(1, abs=0.02), name


def test_rotated_codes_are_informative_and_entangled():
    rotation = np.linalg.qr(np.random.default_rng(1).normal(size=(F, F)))[0]
    found = figures(*(NOISY @ rotation).T)
    assert found["dci_informativeness"] > 0.8
    for name in ("mig", "sap", "dci_disentanglement", "dci_completeness"):
        assert found[name] < 0.4, name
    assert found["factor_vae"] < 0.98 and found["modularity"] < 0.95


def test_noise_codes_next_to_informative_codes():
    codes = np.concatenate([NOISY, NOISE[:, 5:]], 1)
    assert mig(codes, FACTORS) > 0.95
    assert sap(codes, FACTORS) > 0.9
    assert factor_vae(codes, FACTORS) > 0.95
    assert dci(codes, FACTORS).disentanglement > 0.95


@pytest.mark.long
def test_collapsed_and_constant_codes_are_handled():
    codes = np.column_stack([NOISY, 0.01 * NOISY[:, 0], np.zeros(N)])
    assert factor_vae(codes, FACTORS) > 0.95
    assert factor_vae(0 * NOISY, FACTORS) == 1 / F
    assert set(disentanglement(0 * NOISY, FACTORS)[0].values()) == {0, 1 / F}
    found, maps = disentanglement(codes, FACTORS)
    assert np.isfinite(list(found.values())).all()
    assert all(np.isfinite(matrix).all() for matrix in maps.values())


def test_one_code():
    assert mig(NOISY[:, :1], FACTORS) == pytest.approx(1 / F, abs=0.05)
    for name, value in figures(A).items():
        assert -1e-9 < value < 1 + 1e-9, name


def test_classes_without_an_order():
    code = np.array([2.0, 0.0, 4.0, 1.0, 3.0])[FACTORS] + 0.02 * NOISE[:, :F]
    for name, value in disentanglement(code, FACTORS)[0].items():
        assert value == pytest.approx(1, abs=0.05), name


def test_information_of_a_known_channel():
    factor = np.arange(8).repeat(50)[:, None]
    code = (factor % 2).astype(float)  # one bit of three
    assert information(code, factor) == pytest.approx(1 / 3)


def test_modularity_of_a_known_table():
    a, b = np.divmod(np.arange(400), 20)  # independent, 20 values each
    codes = np.stack([a, np.where(b < 10, a // 10, b)], 1).astype(float)
    factors = np.stack([a, b], 1)
    m = (information(codes, factors) * np.log(20)) ** 2
    expected = np.mean([1.0, 1 - m[1].min() / m[1].max()])
    assert modularity(codes, factors) == pytest.approx(expected)


@pytest.mark.long
def test_the_seed_decides():
    codes = (NOISY + NOISE[:, 4:8])[:500]
    first, again, other = (disentanglement(codes, FACTORS[:500], seed)[0] for seed in (3, 3, 4))
    assert first == again
    for name in ("dci_disentanglement", "sap", "factor_vae"):
        assert first[name] != other[name]
