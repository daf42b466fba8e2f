"""A warm-up."""

from vaekit.refusal import Refusal, setting


class Linear:
    """From `start` to `value` in a straight line over `epochs`, then `value`.

    Bowman et al. 2016, section 3.1.

    References:
        Samuel Bowman et al. Generating Sentences from a Continuous Space. In CoNLL 2016.
            https://arxiv.org/abs/1511.06349
    """

    def __init__(self, value: float, start: float = 0.0, epochs: float = 10.0):
        if epochs <= 0:
            raise Refusal(f"{setting('epochs')}={epochs} has no slope, expected above 0; use {setting('epochs')}=10.")
        self.start, self.value, self.epochs = start, value, epochs

    def __call__(self, epoch: float | None) -> float:
        done = 1.0 if epoch is None else min(epoch / self.epochs, 1.0)
        return self.start + (self.value - self.start) * done
