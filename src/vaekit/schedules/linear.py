"""A warm-up."""

from vaekit.refusal import Refusal


class Linear:
    """From `start` to `end` in a straight line over `epochs`, then `end` (Bowman et al. 2016,
    https://arxiv.org/abs/1511.06349, section 3.1)."""

    def __init__(self, start: float, end: float, epochs: float):
        if epochs <= 0:
            raise Refusal(f"A linear schedule over epochs={epochs} has no slope; give epochs above 0.")
        self.start, self.end, self.epochs = start, end, epochs

    def __call__(self, epoch: float | None) -> float:
        done = 1.0 if epoch is None else min(epoch / self.epochs, 1.0)
        return self.start + (self.end - self.start) * done
