"""Repeated warm-ups."""

from vaekit.refusal import Refusal, setting


class Cyclical:
    """Repeated linear warm-ups from `start` to `value` (Fu et al. 2019, equation 6).

    Each of the `cycles` lasts `epochs / cycles`: the coefficient rises in the first part of it, then stays at `value`.
    After `epochs` it is `value`.

    Args:
        value: The coefficient at the end of each warm-up. Validation and test use it from the start.
        start: The coefficient at the beginning of each cycle.
        epochs: Length of all cycles together in epochs, above 0.
        cycles: Number of warm-ups; 4 as in the paper.
        ramp: Fraction of a cycle in which the coefficient rises, in (0, 1]; 0.5 as in the paper.

    Raises:
        Refusal: If `epochs`, `cycles` or `ramp` is out of its range.

    References:
        Hao Fu et al. Cyclical Annealing Schedule: A Simple Approach to Mitigating KL Vanishing. In NAACL 2019.
            https://arxiv.org/abs/1903.10145

    Example:
        >>> from vaekit.schedules.cyclical import Cyclical
        >>> beta = Cyclical(1.0, epochs=40, cycles=4)
        >>> [beta(epoch) for epoch in (0, 2.5, 5, 10, 12.5)]
        [0.0, 0.5, 1.0, 0.0, 0.5]
    """

    def __init__(self, value: float, start: float = 0.0, epochs: float = 40.0, cycles: int = 4, ramp: float = 0.5):
        if epochs <= 0 or cycles < 1 or not 0 < ramp <= 1:
            raise Refusal(
                f"{setting('epochs')}={epochs}, cycles={cycles}, ramp={ramp} make no cycles, expected epochs > 0, "
                f"cycles > 0 and 0 < ramp <= 1; use {setting('epochs')}=40 {setting('cycles')}=4 {setting('ramp')}=0.5."
            )
        self.start, self.value, self.epochs, self.cycles, self.ramp = start, value, epochs, cycles, ramp

    def __call__(self, epoch: float | None) -> float:
        if epoch is None or epoch >= self.epochs:
            return self.value
        within = (epoch / self.epochs * self.cycles) % 1.0
        return self.start + (self.value - self.start) * min(within / self.ramp, 1.0)
