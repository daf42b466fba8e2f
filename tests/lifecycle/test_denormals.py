"""Denormal numbers are treated as zero in every thread during training, and not afterwards."""

import pytest
import torch

from vaekit import denormals

N = 2**20  # enough for torch to divide the work between threads


@pytest.fixture
def two_threads():
    """Both exist already, and keep denormal numbers."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    assert flushed() == 0
    yield
    torch.set_flush_denormal(False)
    torch.set_num_threads(before)


def flushed():
    """How many of N products of denormal numbers by one are zero."""
    return int((torch.full((N,), 1e-40) * 1.0 == 0).sum())


def test_every_thread_flushes_within_and_none_after(two_threads):
    if not torch.set_flush_denormal(True):
        pytest.skip("this processor cannot")
    torch.set_flush_denormal(False)
    with denormals.flushed():
        assert flushed() == N
    assert flushed() == 0


def test_flush_to_zero_is_restored_after_the_context(two_threads):
    if not torch.set_flush_denormal(True):
        pytest.skip("this processor cannot")
    with denormals.flushed():
        pass
    assert denormals.flushes()


@pytest.mark.long
def test_training_flushes_in_every_thread(train, two_threads, monkeypatch):
    found = []
    monkeypatch.setattr("vaekit.training.module.Training.on_train_epoch_end", lambda self: found.append(flushed()))
    assert train("+trainer.limit_train_batches=2").code == 0
    assert found == [N] and flushed() == 0
