"""From a configuration and a data space to a VAE, an objective and penalties."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from hydra.utils import instantiate
from torch import nn

from vaekit import compatibility
from vaekit.networks.beside import Beside
from vaekit.refusal import building
from vaekit.settings import check_types
from vaekit.spaces import Real
from vaekit.vae import VAE


def part(config: Mapping) -> Any:
    """The part that `config` names, waiting for the shapes that come from its neighbours."""
    return instantiate(config, _partial_=True, _convert_="all")


def compose_vae(config: Mapping, space: Real) -> VAE:
    """The VAE over `space` that `config`'s groups name. Raises `Refusal` if they do not fit."""
    check_types(config.get("condition"), "condition")  # whose number of classes others refer to
    with building("condition"):
        condition = instantiate(config["condition"], _convert_="all") if config.get("condition") else None
    for group in ("network", "posterior", "prior", "latents", "likelihood"):
        check_types(config.get(group), group)
    encoder, decoder = part(config["network"]["encoder"]), part(config["network"]["decoder"])
    posterior, prior, likelihood = (part(config[group]) for group in ("posterior", "prior", "likelihood"))
    tower = part(config["latents"])
    compatibility.check_space(space, encoder.func, likelihood.func)
    compatibility.check_inputs(space, posterior.func, prior.func)
    compatibility.check_experts(posterior.func, encoder.func)
    compatibility.check_latents(posterior.func, prior.func, compiled=config.get("compile", False))
    for each in (tower, tower.keywords.get("given", tower)):  # the one below a class as well
        compatibility.check_tower(each, posterior.func, encoder.func)
    compatibility.check_condition(space, condition, tower.func, posterior.func, prior.func)
    if condition:
        condition.missing = tower.func.infers
    vae: VAE  # there by the time that a part calls what it asked for
    there: dict[str, Any] = {
        "data_space": space,
        "modalities": space.modalities,
        "compose": compose_vae,
        "infer": lambda x: vae.latents.levels[0].infer(vae.encoder(x), None),
        "joint": lambda x, z: vae.joint(x, [z]),
    }

    def with_neighbours(part: Any) -> Any:
        """The part, given what it asks for besides its own space."""
        return partial(part, **{name: there[name] for name in part.func.needs})

    with building("network"):
        network = encoder(space)
        if "joint" in posterior.func.needs:
            network = Beside(network, space)

    with building("latents"):
        latents = tower(
            features=network.out_shape,
            posterior=with_neighbours(posterior),
            prior=with_neighbours(prior),
            latent=posterior.func.latent,
            condition=condition.size if condition else 0,
        )
        network = latents.encoder(network)

    def decoder_network(params: int) -> nn.Module:
        with building("network"):
            return decoder(latents.out_shape, space, params)

    with building("likelihood"):
        vae = VAE(network, latents, likelihood(space, decoder_network), condition)
    compatibility.check_sizes(vae)
    return vae


def compose(config: Mapping, space: Real) -> tuple[VAE, Any, nn.ModuleDict]:
    """`compose_vae`'s VAE, the objective and the penalties that `config` names. Raises `Refusal` if they do not fit."""
    check_types(config["objective"], "objective")
    vae = compose_vae(config, space)
    with building("objective"):
        objective = instantiate(config["objective"], _convert_="all")
    # a preset may hold settings of a penalty that the command line then did not choose
    settings = config.get("penalty", {}).items()
    chosen = {name: each for name, each in settings if isinstance(each, Mapping) and "_target_" in each}
    compatibility.check_objective(objective, vae, chosen)
    penalties = nn.ModuleDict()
    for name, each in chosen.items():
        check_types(each, f"penalty.{name}")
        penalty = part(each)
        compatibility.check_penalty(name, penalty.func, vae, compiled=config.get("compile", False))
        with building("penalty"):
            penalties[name] = penalty(vae)
    return vae, objective, penalties
