"""From a configuration and a data space to a VAE, an objective and penalties."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from hydra.utils import get_object
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from torch import nn

from vaekit import compatibility
from vaekit.networks.beside import Beside
from vaekit.refusal import Refusal, building, located, mounted
from vaekit.settings import check_types
from vaekit.spaces import Real
from vaekit.vae import VAE

HYDRA = ("_target_", "_partial_", "_recursive_", "_convert_")  # what instantiate reads itself


class Part(partial):
    """A call that waits for the neighbours of a part, and knows where its configuration is."""

    path: str

    def __call__(self, *args: Any, **settings: Any) -> Any:
        with located(self.path):
            return super().__call__(*args, **settings)


def part(config: Any, path: str) -> Any:
    """The part that `config` names, waiting for the shapes that come from its neighbours.

    It is Hydra's `instantiate`, of targets with settings by name, but for `path`: refusals of the part, and of parts in
    it, begin with where it is.
    """
    node: Any = OmegaConf.to_container(config, resolve=True) if isinstance(config, DictConfig) else config
    settings = {name: value for name, value in node.items() if name not in HYDRA}
    if node.get("_recursive_", True):
        settings = {name: _built(value, f"{path}.{name}") for name, value in settings.items()}
    waiting = Part(get_object(node["_target_"]), **settings)
    waiting.path = path
    return waiting


def _built(node: Any, path: str) -> Any:
    if isinstance(node, list):
        return [_built(value, path) for value in node]
    if not isinstance(node, dict):
        return node
    if "_target_" not in node:
        return {name: _built(value, f"{path}.{name}") for name, value in node.items()}
    return part(node, path) if node.get("_partial_") else part(node, path)()


def compose_vae(config: Mapping, space: Real, path: str = "") -> VAE:
    """The VAE over `space` that the groups of `config` name, which is at `path` of the whole configuration.

    Raises `Refusal` if they do not fit.
    """
    try:
        with mounted(path, map(str, config)):
            return _compose_vae(config, space)
    except OmegaConfBaseException as error:
        reason = str(error).splitlines()[0]
        raise Refusal(
            f"{error.full_key} cannot be read: {reason.partition('interpolation: ')[2] or reason}."
        ) from error
    except (AttributeError, Refusal) as error:
        compatibility.check_contract(config, error)
        raise


def _compose_vae(config: Mapping, space: Real) -> VAE:
    check_types(config.get("condition"), "condition")  # whose number of classes others refer to
    with building("condition"):
        condition = part(config["condition"], "condition")() if config.get("condition") else None
    for group in ("network", "posterior", "prior", "latents", "likelihood"):
        check_types(config.get(group), group)
    encoder, decoder = (part(config["network"][name], "network") for name in ("encoder", "decoder"))
    posterior, prior, likelihood, tower = (
        part(config[group], group) for group in ("posterior", "prior", "likelihood", "latents")
    )
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
        objective = part(config["objective"], "objective")()
    # a preset may hold settings of a penalty that the command line then did not choose
    settings = config.get("penalty", {}).items()
    chosen = {name: each for name, each in settings if isinstance(each, Mapping) and "_target_" in each}
    compatibility.check_objective(objective, vae, chosen)
    penalties = nn.ModuleDict()
    for name, each in chosen.items():
        check_types(each, f"penalty.{name}")
        penalty = part(each, f"penalty.{name}")
        compatibility.check_penalty(name, penalty.func, vae, compiled=config.get("compile", False))
        with building(f"penalty.{name}"):
            penalties[name] = penalty(vae)
    return vae, objective, penalties
