"""A warm-up."""

from vaekit.refusal import Refusal, setting


class Linear:
    """A linear warm-up from `start` to `value` over `epochs`, then `value` (Bowman et al. 2016, section 3.1).

    Args:
        value: The coefficient after the warm-up. Validation and test use it from the start.
        start: The coefficient at epoch 0.
        epochs: Length of the warm-up in epochs, above 0. It need not be a whole number.

    Raises:
        Refusal: If `epochs` is not above 0.

    References:
        Samuel Bowman et al. Generating Sentences from a Continuous Space. In CoNLL 2016.
            https://arxiv.org/abs/1511.06349

    Example:
        >>> from vaekit.schedules.linear import Linear
        >>> beta = Linear(1.0, epochs=10)
        >>> beta(0), beta(5), beta(20)
        (0.0, 0.5, 1.0)
    """

    def __init__(self, value: float, start: float = 0.0, epochs: float = 10.0):
        if epochs <= 0:
            raise Refusal(f"{setting('epochs')}={epochs} has no slope, expected above 0; use {setting('epochs')}=10.")
        self.start, self.value, self.epochs = start, value, epochs

    def __call__(self, epoch: float | None) -> float:
        done = 1.0 if epoch is None else min(epoch / self.epochs, 1.0)
        return self.start + (self.value - self.start) * done
