"""From a configuration and a data space to a VAE and an objective."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from hydra.utils import instantiate

from vaekit import compatibility
from vaekit.spaces import Real
from vaekit.vae import VAE


def part(config: Mapping) -> partial:
    """The part that `config` names, waiting for the shapes that come from its neighbours."""
    return instantiate(config, _partial_=True, _convert_="all")


def compose(config: Mapping, space: Real) -> tuple[VAE, Any]:
    """The VAE over `space` and the objective that `config`'s groups name. Raises `Refusal` if they do not fit."""
    encoder, decoder = part(config["network"]["encoder"]), part(config["network"]["decoder"])
    posterior, prior, likelihood = (part(config[group]) for group in ("posterior", "prior", "likelihood"))
    compatibility.check_space(space, encoder.func, likelihood.func)
    compatibility.check_latents(posterior.func, prior.func)

    network = encoder(space)
    latents = part(config["latents"])(
        posterior=posterior, prior=prior, latent=posterior.func.latent, context_shape=network.out_shape
    )
    vae = VAE(network, latents, likelihood(space, lambda params: decoder(latents.out_shape, space, params)))

    objective = instantiate(config["objective"], _convert_="all")
    compatibility.check_objective(objective, posterior.func, len(latents.levels))
    return vae, objective
