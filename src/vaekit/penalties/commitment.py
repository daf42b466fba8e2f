"""A penalty that keeps the encoder near the codebook."""

from torch import Tensor

from vaekit.capabilities import Capability
from vaekit.distributions.quantized import Quantized
from vaekit.penalties.penalty import Penalty
from vaekit.schedules.schedule import Schedule
from vaekit.terms import Terms
from vaekit.vae import VAE


class Commitment(Penalty):
    """|h - e|^2 of the encoder's output h and its codebook entry e, summed over positions and stages, averaged over
    examples.

    van den Oord et al. 2017, equation 3: h moves towards e. If the codebook is learned by gradient
    (posterior.ema=false), e also moves towards h, with `codebook` times the weight.

    Args:
        vae: The model that the penalty is for; only shapes are read from it.
        weight: Coefficient of the penalty in the loss, a number or a schedule.
        codebook: Weight of the codebook's term relative to the encoder's; 4 as in the paper.

    References:
        Aäron van den Oord, Oriol Vinyals, Koray Kavukcuoglu. Neural Discrete Representation Learning. In NeurIPS 2017.
            https://arxiv.org/abs/1711.00937

    Example:
        >>> from types import SimpleNamespace
        >>> import torch
        >>> from vaekit.distributions.quantized import Quantized
        >>> from vaekit.penalties.commitment import Commitment
        >>> from vaekit.spaces import Codes
        >>> q = Quantized(torch.tensor([[0, 1]]), Codes((2,)), source=torch.tensor([[0.5, 1.0]]))   # atoms 0 and 1
        >>> Commitment(vae=None)(SimpleNamespace(steps=[SimpleNamespace(q=q)]), None, epoch=None)
        tensor(0.2500)
    """

    requires = frozenset({Capability.QUANTIZED})

    def __init__(self, vae: VAE, weight: float | Schedule = 0.25, codebook: float = 4.0):
        super().__init__(vae, weight)
        self.codebook = codebook

    def forward(self, terms: Terms, vae: VAE, epoch: float | None) -> Tensor:
        (step,) = terms.steps
        q = step.q
        assert isinstance(q, Quantized)
        value = (q.source - q.point.detach()).square().flatten(1).sum(1).mean()
        if q.atoms.requires_grad:
            value = value + self.codebook * (q.source.detach() - q.point).square().flatten(1).sum(1).mean()
        return value
