"""The categorical posterior over one-hot codes with the gradient of a softmax."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution

from vaekit.capabilities import Capability
from vaekit.distributions.coded import Relaxed
from vaekit.distributions.precision import full_precision
from vaekit.networks.glorot import head
from vaekit.posteriors.posterior import Posterior
from vaekit.refusal import Refusal, elsewhere, setting
from vaekit.schedules.schedule import Schedule, at
from vaekit.spaces import Codes


class Gumbel(Posterior):
    """q(z | x): one of K codes at each position, with the gradient of a Gumbel softmax.

    Jang et al. 2017, section 2.2; Maddison et al. 2017. Codes are one-hot, so that `latents.dim` is K times the number
    of positions. The gradient is noisy at low temperatures and biased at high ones.

    Args:
        context_shape: Shape of the features of a row, (F,) for vectors z or (C, H, W) for maps z.
        space: The space of z.
        codes: Number K of codes, at least 2.
        temperature: Temperature of the softmax, above 0: a number, or a schedule over epochs.
        hard: True: draws are one-hot (straight-through). False: training sees the softmax, so its distortion is that of
            a relaxed model while the rate is the exact KL of the codes; the training loss is then not a bound.
            Validation and test always draw one-hot.

    Raises:
        Refusal: If `codes` is below 2 or does not divide `space.shape[0]`, or `temperature` is ever 0 or less.

    References:
        Eric Jang, Shixiang Gu, Ben Poole. Categorical Reparameterization with Gumbel-Softmax. In ICLR 2017.
            https://arxiv.org/abs/1611.01144
        Chris Maddison, Andriy Mnih, Yee Whye Teh. The Concrete Distribution: A Continuous Relaxation of Discrete Random
            Variables. In ICLR 2017. https://arxiv.org/abs/1611.00712

    Example:
        >>> import torch
        >>> from vaekit.posteriors.gumbel import Gumbel
        >>> from vaekit.spaces import Codes
        >>> q = Gumbel((8,), Codes((6,)), codes=3, temperature=0.5)(torch.randn(5, 8))
        >>> q.rsample().sum(1).tolist()  # two positions, one-hot each
        [2.0, 2.0, 2.0, 2.0, 2.0]
    """

    latent = Codes
    gives = frozenset({Capability.RSAMPLE, Capability.LOG_PROB, Capability.DENSITY, Capability.MAPS, Capability.CODED})
    atoms: Tensor
    current_temperature: Tensor

    def __init__(
        self,
        context_shape: tuple[int, ...],
        space: Codes,
        codes: int = 8,
        temperature: float | Schedule = 1.0,
        hard: bool = True,
    ):
        super().__init__()
        if codes < 2:
            raise Refusal(f"{setting('codes')}={codes} must be at least 2; use {setting('codes')}=8.")
        if at(temperature, None) <= 0 or at(temperature, 0.0) <= 0:
            key = setting("temperature")
            raise Refusal(f"{key} must be above 0 at all times; use {key}.value=1.")
        if space.shape[0] % codes:
            raise Refusal(
                f"{elsewhere('latents.dim')}={space.shape[0]} is not a multiple of {setting('codes')}={codes}, one "
                f"number for each code; use {elsewhere('latents.dim')}={codes * max(1, space.shape[0] // codes)}."
            )
        self.temperature, self.hard = temperature, hard
        self.gives = self.gives_with({"hard": hard})  # type: ignore[misc]
        self.register_buffer("atoms", torch.eye(codes), persistent=False)
        self.register_buffer("current_temperature", torch.tensor(at(temperature, 0.0)), persistent=False)
        self.space = replace(space, atoms=codes, width=codes, codebook=self.codebook)
        self.head = head(context_shape, space.shape[0])

    @classmethod
    def gives_with(cls, settings: Mapping[str, Any]) -> frozenset[Capability]:
        relaxed = not settings.get("hard", True)
        return cls.gives - {Capability.DENSITY} if relaxed else cls.gives  # relaxed draws have no density

    def codebook(self) -> Tensor:
        """One-hot vectors, `[K, K]`."""
        return self.atoms

    def anneal(self, epoch: float | None) -> None:
        """Set the temperature to its value at a time of training, in epochs."""
        self.current_temperature.fill_(at(self.temperature, epoch))

    def forward(self, context: Tensor) -> Distribution:
        logits = self.space.points(full_precision(self.head(context)))
        return Relaxed(logits, self.space, self.current_temperature, self.hard or not self.training)
