"""A choice among K at each position, with the gradient of a softmax."""

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
    """q(z | x): one of K `codes` at each position, one-hot, so that `latents.dim` is K times the number of positions.

    Jang et al. 2017, section 2.2; Maddison et al. 2017. The gradient is that of a softmax at `temperature`, noisy at
    low ones and biased at high ones. hard: draws are one-hot, straight through. Without, training sees the softmax
    itself: its distortion is that of a relaxed model, the rate still the exact KL of the choices, so that the training
    loss bounds nothing (validation and test draw one-hot, and do).
    context `[..., *context_shape]` -> batch shape `[...]` over `space`, vectors or maps.

    References:
        Eric Jang, Shixiang Gu, Ben Poole. Categorical Reparameterization with Gumbel-Softmax. In ICLR 2017.
            https://arxiv.org/abs/1611.01144
        Chris Maddison, Andriy Mnih, Yee Whye Teh. The Concrete Distribution: A Continuous Relaxation of Discrete Random
            Variables. In ICLR 2017. https://arxiv.org/abs/1611.00712
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
        return cls.gives - {Capability.DENSITY} if relaxed else cls.gives  # of what training draws

    def codebook(self) -> Tensor:
        """One-hot, `[K, K]`."""
        return self.atoms

    def anneal(self, epoch: float | None) -> None:
        """Set the temperature to its value at a time of training."""
        self.current_temperature.fill_(at(self.temperature, epoch))

    def forward(self, context: Tensor) -> Distribution:
        logits = self.space.points(full_precision(self.head(context)))
        return Relaxed(logits, self.space, self.current_temperature, self.hard or not self.training)
