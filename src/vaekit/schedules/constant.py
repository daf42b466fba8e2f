"""A constant coefficient."""


class Constant:
    """The same value at all times.

    Args:
        value: The coefficient.

    References:
        none

    Example:
        >>> from vaekit.schedules.constant import Constant
        >>> Constant(4.0)(epoch=10)
        4.0
    """

    def __init__(self, value: float):
        self.value = value

    def __call__(self, epoch: float | None) -> float:
        return self.value
