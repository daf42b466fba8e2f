"""Repeated warm-ups."""

from vaekit.refusal import Refusal, setting


class Cyclical:
    """`cycles` warm-ups of `epochs / cycles` each: `start` to `value` in the first `ramp` of a cycle, then `value`.

    Fu et al. 2019, equation 6. After `epochs`, `value`.

    References:
        Hao Fu et al. Cyclical Annealing Schedule: A Simple Approach to Mitigating KL Vanishing. In NAACL 2019.
            https://arxiv.org/abs/1903.10145
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
