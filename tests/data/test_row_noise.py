import pytest
import torch

from vaekit.data.noise import row_noise


def test_row_noise_is_uniform():
    noise = row_noise(0, torch.arange(2000), (10, 10)).flatten()
    assert noise.min() >= 0 and noise.max() < 1
    assert noise.mean().item() == pytest.approx(0.5, abs=3e-3)
    assert noise.var().item() == pytest.approx(1 / 12, abs=1e-3)
    counts = torch.histc(noise, bins=100, min=0, max=1)
    chi_squared = ((counts - 2000) ** 2 / 2000).sum().item()
    assert 99 - 5 * 14 < chi_squared < 99 + 5 * 14


def test_is_independent_across_rows_and_entries_and_seeds():
    noise = row_noise(0, torch.arange(4000), (16,)) - 0.5
    correlation = torch.corrcoef(noise.T) - torch.eye(16)
    assert correlation.abs().max() < 0.08  # 5 standard deviations
    following = (noise[1:] * noise[:-1]).mean() * 12
    assert following.abs() < 5 / (4000 * 16) ** 0.5
    for seed in (1, 2, 3):
        other = row_noise(seed, torch.arange(4000), (16,)) - 0.5
        assert ((noise * other).mean() * 12).abs() < 5 / (4000 * 16) ** 0.5


def test_row_noise_does_not_depend_on_the_batch():
    rows = torch.tensor([7, 3, 1_000_000_007, 3])
    together = row_noise(5, rows, (1, 4, 4))
    alone = torch.cat([row_noise(5, row[None], (1, 4, 4)) for row in rows])
    assert torch.equal(together, alone)
    assert torch.equal(together[1], together[3]) and not torch.equal(together[0], together[1])


def test_row_noise_is_splitmix64():
    """Against the generator as its authors publish it, in Python's integers."""

    def mixed(z):
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) % 2**64
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) % 2**64
        return z ^ (z >> 31)

    noise = row_noise(9, torch.tensor([11, 123_456_789]), (3,))
    for i, row in enumerate((11, 123_456_789)):
        for j in range(3):
            expected = mixed((mixed(9) + (row * 3 + j) * 0x9E3779B97F4A7C15) % 2**64)
            assert noise[i, j].item() == (expected >> 40) / 2**24
