"""The parts that a configuration chose, before anything is built."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from pkgutil import resolve_name
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from torch import nn

from vaekit.capabilities import Capability, Input
from vaekit.conditions.condition import Condition
from vaekit.latents.tower import Tower
from vaekit.likelihoods.likelihood import Likelihood
from vaekit.networks.concat_input import ConcatInput
from vaekit.networks.network import Features
from vaekit.objectives.objective import Objective
from vaekit.overrides import spelled
from vaekit.penalties.penalty import Penalty
from vaekit.plan import compatibility
from vaekit.plan.contract import check_class, check_instance
from vaekit.posteriors.posterior import Posterior
from vaekit.priors.prior import Prior
from vaekit.refusal import Refusal, building, located, within
from vaekit.settings import check_types
from vaekit.spaces import Space
from vaekit.vae import VAE

GROUPS = ("network", "posterior", "prior", "latents", "likelihood", "condition", "objective")
HYDRA = ("_target_", "_partial_", "_recursive_", "_convert_")  # keys that `hydra.utils.instantiate` reads


class Choice(partial[Any]):
    """A part that was chosen: its class, its settings, and the path of its configuration.

    Calling it builds the part. Arguments that depend on other parts, e.g. shapes, are passed in the call.
    """

    path: str
    base: type | None

    def __call__(self, *args: Any, **more: Any) -> Any:
        with located(self.path):
            part = super().__call__(*args, **more)
        if self.base:
            check_instance(part, self.base, self.path)
        return part

    @property
    def kind(self) -> Any:
        """The class, or function."""
        return self.func

    @property
    def settings(self) -> dict[str, Any]:
        """What the configuration sets."""
        return self.keywords

    @property
    def gives(self) -> frozenset[Capability]:
        """What the posterior gives with these settings."""
        return self.kind.gives_with(self.settings)

    @property
    def requires(self) -> frozenset[Capability]:
        """What the objective requires with these settings."""
        return self.kind.requires_with(self.settings)

    def with_inputs(self, inputs: Mapping[str, Any]) -> Choice:
        """The same choice, bound to those of `inputs` that its part declares."""
        return _chosen(
            self.kind, self.settings | {name: inputs[name] for name in self.kind.inputs}, self.path, self.base
        )


def _chosen(kind: Any, settings: Mapping[str, Any], path: str, base: type | None = None) -> Choice:
    chosen = Choice(kind, **settings)
    chosen.path, chosen.base = path, base
    return chosen


def read_choice(config: Any, path: str, base: type | None = None) -> Choice:
    """The part that a section of a configuration names.

    As in Hydra's `instantiate`, parts among the settings are built; those with `_partial_` are left to the part to
    build, and with `_recursive_: false` they stay configurations. A setting named in the `plans` of a part becomes a
    function that builds a VAE.

    Args:
        config: The section, with `_target_` and settings.
        path: Its path in the whole configuration.
        base: Base class that the part must have; None for no check.

    Raises:
        Refusal: If the name cannot be imported, or the class does not fit its base class.
    """
    node: Any = OmegaConf.to_container(config, resolve=True) if isinstance(config, DictConfig) else config
    try:
        kind = resolve_name(node["_target_"])
    except (ImportError, AttributeError, ValueError) as error:
        raise Refusal(
            f"{path}._target_={node['_target_']} cannot be imported ({error}). Give the dotted name of a class whose "
            "module is on PYTHONPATH."
        ) from error
    if base:
        check_class(kind, base, path)
    settings = {name: value for name, value in node.items() if name not in HYDRA}
    for name in getattr(kind, "plans", ()):
        settings[name] = Plan.read(settings[name], kind.latent((1,)), f"{path}.{name}").build_vae
    if node.get("_recursive_", True):
        settings = {name: _read(value, f"{path}.{name}") for name, value in settings.items()}
    return _chosen(kind, settings, path, base)


def _read(node: Any, path: str) -> Any:
    if isinstance(node, list):
        return [_read(value, path) for value in node]
    if not isinstance(node, dict):
        return node
    if "_target_" not in node:
        return {name: _read(value, f"{path}.{name}") for name, value in node.items()}
    return read_choice(node, path) if node.get("_partial_") else read_choice(node, path)()


def _below(path: str, choice: Choice) -> Iterator[tuple[str, Choice]]:
    yield path, choice
    for name, value in choice.settings.items():
        if isinstance(value, Choice):
            yield from _below(f"{path}.{name}", value)
        elif isinstance(planned := getattr(value, "__self__", None), Plan):
            yield from planned.places()


def _target(kind: Any) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


def _plain(choice: Choice) -> str:
    """The settings of a part that are not parts, as they are typed."""
    plain = {
        name: value
        for name, value in choice.settings.items()
        if isinstance(value, str | int | float | bool | list | None)
    }
    return " ".join(f"{name}={spelled(value)}" for name, value in plain.items())


def _plain_config(config: Any) -> Any:
    return OmegaConf.to_container(config, resolve=True) if OmegaConf.is_config(config) else config


class Plan:
    """The parts of a VAE that a configuration chose and, where it has an objective, of its training.

    Args:
        config: The configuration.
        space: Space of x.
        path: Path of this VAE in the whole configuration; empty for the outermost one.
        training: Whether the VAE will be trained rather than evaluated.
    """

    def __init__(self, config: Mapping[Any, Any], space: Space, path: str, training: bool):
        self.config, self.space, self.path, self.training = config, space, path, training
        self.condition: Condition | None = None
        check_types(config.get("condition"), self.at("condition"))  # whose number of classes others refer to
        if config.get("condition"):
            with building(self.at("condition")):
                self.condition = self._choice("condition", Condition)()
        for group in ("network", "posterior", "prior", "latents", "likelihood"):
            check_types(config.get(group), self.at(group))
        self.encoder = read_choice(config["network"]["encoder"], self.at("network"), Features)
        self.decoder = read_choice(config["network"]["decoder"], self.at("network"))
        self.posterior = self._choice("posterior", Posterior)
        self.prior = self._choice("prior", Prior)
        self.likelihood = self._choice("likelihood", Likelihood)
        self.latents = self._choice("latents", Tower)
        self.objective: Choice | None = None
        if "objective" in config:
            check_types(config["objective"], "objective")
            self.objective = self._choice("objective", Objective)
        # a preset may hold settings of a penalty that the command line does not choose
        chosen = {
            name: each
            for name, each in config.get("penalty", {}).items()
            if isinstance(each, Mapping) and "_target_" in each
        }
        for name, each in chosen.items():
            check_types(each, f"penalty.{name}")
        self.penalties = {name: read_choice(each, f"penalty.{name}", Penalty) for name, each in chosen.items()}

    @classmethod
    def read(cls, config: Mapping[Any, Any], space: Space, path: str = "", training: bool = False) -> Plan:
        """The plan of `config`, checked. Raises `Refusal` for settings that are not as their part takes them, and for
        parts that do not fit.
        """
        try:
            with within(path):
                plan = cls(config, space, path, training)
        except OmegaConfBaseException as error:
            reason = str(error).splitlines()[0]
            raise Refusal(
                f"{error.full_key} cannot be read: {reason.partition('interpolation: ')[2] or reason}."
            ) from error
        compatibility.check(plan)
        return plan

    def _choice(self, group: str, base: type) -> Choice:
        return read_choice(self.config[group], self.at(group), base)

    def at(self, key: str) -> str:
        """The path of a group or setting of this VAE, e.g. "latents.dim" or "prior.second.latents.dim"."""
        return f"{self.path}.{key}".lstrip(".")

    def typed(self, words: str) -> str:
        """Overrides of this VAE as they are typed: "prior=flow" is "prior@prior.second.prior=flow" below a prior."""
        return " ".join(map(self._typed, words.split(" "))) if self.path else words

    def _typed(self, word: str) -> str:
        key, equals, value = word.partition("=")
        group, _, place = key.partition("@")
        if not equals or "." in group:
            return self.at(word) if equals else word
        return f"{group}@{self.at(place or group)}={value}"

    def places(self) -> Iterator[tuple[str, Choice]]:
        """Every part that is still to be built, by its path: each group, and after it the parts among its settings."""
        groups = {"network.encoder": self.encoder, "network.decoder": self.decoder, "posterior": self.posterior}
        groups |= {"prior": self.prior, "latents": self.latents, "likelihood": self.likelihood}
        groups |= {"objective": self.objective} if self.objective else {}
        groups |= {f"penalty.{name}": penalty for name, penalty in self.penalties.items()}
        for name, choice in groups.items():
            yield from _below(self.at(name), choice)

    def describe(self) -> str:
        """One line per part: the path of its configuration, its class, and its settings."""
        rows = [(path, _target(each.kind), _plain(each)) for path, each in self.places()]
        if self.condition is not None:
            rows.append((self.at("condition"), _target(type(self.condition)), ""))
        widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
        return "\n".join(f"{path:{widths[0]}}  {kind:{widths[1]}}  {more}".rstrip() for path, kind, more in rows)

    @property
    def compiled(self) -> bool:
        return bool(self.config.get("compile", False))

    @property
    def arrows(self) -> list[tuple[Choice, Choice]]:
        """The posterior and the prior of each kind of level, top first."""
        return self.latents.kind.arrows(self.latents.settings, self.posterior, self.prior)

    def build_vae(self, space: Space | None = None) -> VAE:
        """The VAE, over `space` where it is not that of the plan. Raises `Refusal` for sizes that do not fit."""
        with within(self.path):
            return self._build_vae(space or self.space)

    def _build_vae(self, space: Space) -> VAE:
        vae: VAE  # exists when a part calls the function that it was given
        inputs: dict[str, Any] = {
            Input.DATA_SPACE: space,
            Input.MODALITIES: space.modalities,
            Input.INFER: lambda x: vae.latents.levels[0].infer(vae.encoder(x), None),
            Input.JOINT: lambda x, z: vae.joint(x, [z]),
        }
        if self.condition:
            self.condition.missing = self.latents.kind.infers
        with building(self.at("network")):
            network = self.encoder(space)
            if Input.JOINT in self.posterior.kind.inputs:
                network = ConcatInput(network, space)
        with building(self.at("latents")):
            latents = self.latents(
                features=network.out_shape,
                posterior=self.posterior.with_inputs(inputs),
                prior=self.prior.with_inputs(inputs),
                latent=self.posterior.kind.latent,
                condition=self.condition.size if self.condition else 0,
            )
            network = latents.encoder(network)

        def decoder(params: int) -> nn.Module:
            with building(self.at("network")):
                return self.decoder(latents.out_shape, space, params)

        with building(self.at("likelihood")):
            vae = VAE(network, latents, self.likelihood(space, decoder), self.condition)
        for name, weights in vae.named_parameters():
            if weights.numel() == 0:  # torch would silently train a layer without units
                group = (
                    "latents.*, e.g. latents.dim=32" if name.startswith("latents.") else "network.*, e.g. network=mlp"
                )
                raise Refusal(
                    f"{name} holds no numbers, because a layer has size 0; give sizes of at least 1 in {group}."
                )
        return vae

    def build(self) -> tuple[VAE, Any, nn.ModuleDict]:
        """The VAE, the objective and the penalties."""
        assert self.objective is not None
        vae = self.build_vae()
        vae.config = {group: _plain_config(self.config[group]) for group in GROUPS if self.config.get(group)}
        with building("objective"):
            objective = self.objective()
        penalties = nn.ModuleDict()
        for name, penalty in self.penalties.items():
            with building(f"penalty.{name}"):
                penalties[name] = penalty(vae)
        return vae, objective, penalties
