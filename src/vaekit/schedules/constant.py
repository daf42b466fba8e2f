"""Always the same."""


class Constant:
    """`value`, at all times.

    References:
        none
    """

    def __init__(self, value: float):
        self.value = value

    def __call__(self, epoch: float | None) -> float:
        return self.value
