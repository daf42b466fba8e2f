"""A class above other latent levels, inferred where no label is given."""

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor, nn
from torch.distributions import Distribution

from vaekit.capabilities import Capability
from vaekit.latents.tower import Level, Tower
from vaekit.spaces import Codes


class ClassLevel(nn.Module):
    """The top level: y, one-hot, whose posterior q(y | x) is a classifier of all features.

    Args:
        posterior: q(y | x).
        prior: p(y).
        initial_state: Gives the levels below y and the state above them.
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
    """A class y above another tower, which is conditioned on y: its label if known, else a draw from q(y | x).

    Over `latents=single` it is M2 (Kingma et al. 2014): p(y) p(z) p(x | y, z) with q(y | x) q(z | x, y). If a label is
    given, the top-down pass starts below y, as in a conditional model.

    Args:
        features: Shape of the network's output for a row.
        posterior: `posterior(context_shape, space)` builds the posteriors of the levels below.
        prior: `prior(space)` builds the prior of the level below.
        latent: `latent(shape)` builds the space of z.
        given: Builds the tower below, from the same arguments.
        classifier: `classifier(context_shape, space)` builds q(y | x).
        classes: `classes(space)` builds p(y).
        condition: Number of classes.

    References:
        Diederik Kingma et al. Semi-Supervised Learning with Deep Generative Models. In NeurIPS 2014.
            https://arxiv.org/abs/1406.5298

    Example:
        >>> from functools import partial
        >>> from vaekit.latents.labelled import Labelled
        >>> from vaekit.latents.single import Single
        >>> from vaekit.posteriors.categorical import Categorical
        >>> from vaekit.posteriors.gaussian import Gaussian
        >>> from vaekit.priors.code_uniform import CodeUniform
        >>> from vaekit.priors.standard_normal import StandardNormal
        >>> from vaekit.spaces import Real
        >>> below, classifier = partial(Single, dim=32), partial(Categorical, codes=10)
        >>> tower = Labelled((256,), Gaussian, StandardNormal, Real, below, classifier, CodeUniform, condition=10)
        >>> [level.space.shape for level in tower.levels]
        [(10,), (32,)]
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
        self.num_features, self.out_shape = self.below.num_features, self.below.out_shape
        q: Any = classifier((self.num_features,), Codes((condition,)))
        self.top = ClassLevel(q, classes(q.space), self.below.initial_state)

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
