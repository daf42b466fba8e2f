"""A class above a tower, inferred where nobody gives it."""

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor, nn
from torch.distributions import Distribution

from vaekit.capabilities import Capability
from vaekit.latents.tower import Level, Tower
from vaekit.spaces import Codes


class Class(nn.Module):
    """The top level: y, one-hot, whose posterior q(y | x) is a classifier of all features; initial_state(y) is
    what it leaves to the levels below.
    """

    def __init__(self, posterior: Any, prior: nn.Module, initial_state: Callable[[Tensor], tuple[Any, Tensor]]):
        super().__init__()
        self.posterior, self.prior, self.initial_state = posterior, prior, initial_state
        self.space, self.gives = posterior.space, posterior.gives

    def infer(self, features: Tensor, state: Tensor | None) -> Distribution:
        return self.posterior(features.flatten(1))

    def generate(self, state: Tensor | None) -> Distribution:
        return self.prior(state)

    def merge(self, state: Tensor | None, z: Tensor) -> Tensor:
        return self.initial_state(z)[1]


class Labelled(Tower):
    """A class y on top of another tower `given` y: its label where there is one, else a draw of q(y | x).

    Over `single` it is M2 (Kingma et al. 2014), p(y) p(z) p(x | y, z) with q(y | x) q(z | x, y). Where a label is
    given, the walk begins below y, as in a conditional model.

    classifier(context_shape, space) and classes(space) build q(y | x) and p(y).
    features, posterior, prior, latent, condition: see `vaekit.latents.tower.Tower`.

    References:
        Diederik Kingma et al. Semi-Supervised Learning with Deep Generative Models. In NeurIPS 2014.
            https://arxiv.org/abs/1406.5298
    """

    requires = frozenset({Capability.DENSITY})
    infers = True

    def __init__(
        self,
        features: tuple[int, ...],
        posterior: Callable[[tuple[int, ...], Any], nn.Module],
        prior: Callable[[Any], nn.Module],
        latent: Callable[[tuple[int, ...]], Any],
        given: Callable[..., Any],
        classifier: Callable[..., nn.Module],
        classes: Callable[..., nn.Module],
        condition: int,
    ):
        super().__init__()
        self.below = given(features=features, posterior=posterior, prior=prior, latent=latent, condition=condition)
        self.numbers, self.out_shape = self.below.numbers, self.below.out_shape
        q: Any = classifier((self.numbers,), Codes((condition,)))
        self.top = Class(q, classes(q.space), self.below.initial_state)

    @classmethod
    def arrows(cls, settings: Mapping[str, Any], posterior: Any, prior: Any) -> list[tuple[Any, Any]]:
        given = settings["given"]
        return [(settings["classifier"], settings["classes"]), *given.kind.arrows(given.settings, posterior, prior)]

    @property
    def levels(self) -> list[Level]:
        """The class, and the levels below it."""
        return [self.top, *self.below.levels]

    def encoder(self, network: Any) -> Any:
        return self.below.encoder(network)

    def initial_state(self, condition: Tensor | None) -> tuple[Any, Tensor | None]:
        return (self.levels, None) if condition is None else self.below.initial_state(condition)
