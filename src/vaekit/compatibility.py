"""The only place that says a combination cannot be.

Parts declare what they read, score, need and give; here the declarations are compared, when a run is composed and
before any data is read. Every refusal ends in overrides that can be pasted.
"""

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from inspect import getsource
from typing import Any

import torch
from hydra.utils import get_class
from omegaconf import DictConfig, OmegaConf

from vaekit.configs import options
from vaekit.refusal import Refusal
from vaekit.settings import check_type, check_types
from vaekit.spaces import Codes, Image, Pairs, Real, Table, Text
from vaekit.vae import VAE


def name(part: Any) -> str:
    """The name under which a part is chosen: its module's."""
    return part.__module__.rpartition(".")[2]


def choices(group: str, fits: Any) -> str:
    """The overrides of a group whose part `fits`, e.g. "likelihood=bernoulli or likelihood=categorical"."""
    targets = {key: get_class(option["_target_"]) for key, option in options(group).items() if "_target_" in option}
    return " or ".join(f"{group}={key}" for key, part in targets.items() if fits(part))


def one_by_one(space: Real) -> str:
    """The overrides of the likelihoods that score the values of `space` by themselves."""
    return choices(
        "likelihood",
        lambda part: "factorised" in part.gives and space.values in part.values and isinstance(space, part.reads),
    )


def check_contract(config: Mapping, error: BaseException) -> None:
    """Raise `Refusal` if the error is that a part of the user's own lacks what the parts of its group have."""
    cause: BaseException | None = error
    while cause and not (isinstance(cause, AttributeError) and cause.obj is not None):
        cause = cause.__cause__ or cause.__context__
    if not isinstance(cause, AttributeError):
        return
    own = cause.obj if isinstance(cause.obj, type) else type(cause.obj)
    target = f"{own.__module__}.{own.__qualname__}"
    groups: Any = OmegaConf.to_container(config) if isinstance(config, DictConfig) else config
    group = next((group for group, node in groups.items() if target in targets(node)), None)
    if group is None or own.__module__.startswith("vaekit."):
        return
    line = re.compile(rf"^ +((self\.)?{cause.name}\b.* = |def {cause.name}\().*", re.MULTILINE)
    for other in (other for option in options(group).values() for other in targets(option)):
        if found := line.search(getsource(get_class(other))):
            raise Refusal(
                f"{group}: {target} lacks {cause.name}, which each {group} has. Write a line such as "
                f"`{found[0].strip()}`, as {other} does."
            ) from error


def targets(node: Any) -> Iterator[str]:
    """Every `_target_` at and below a node of the configuration."""
    if isinstance(node, Mapping):
        if "_target_" in node:
            yield node["_target_"]
        for value in node.values():
            yield from targets(value)


def check_space(space: Real, encoder: Any, likelihood: Any) -> None:
    """Raise `Refusal` unless the network reads this data space and the likelihood scores its values."""
    if not isinstance(space, encoder.reads):
        kind = encoder.reads.__name__.lower().removesuffix("s") + "s"
        given = "vectors" if type(space) is Real else type(space).__name__.lower()
        raise Refusal(
            f"network={name(encoder)} reads {kind}, but the data are {given} of shape {list(space.shape)}; "
            f"use network={'gru' if isinstance(space, Text) else 'mlp'}."
        )
    if isinstance(space, Text) and encoder.reads is Real:
        raise Refusal(f"network={name(encoder)} expects real-valued input; token ids are categorical. Try network=gru.")
    if isinstance(space, Image) and min(space.shape[1:]) < 8 and encoder.reads is Image:
        raise Refusal(f"network={name(encoder)} reads images from 8x8 up, got {list(space.shape)}; use network=mlp.")
    if isinstance(space, Pairs) and space.image.values != "binary":
        raise Refusal(
            "The images of pairs are scored in black and white; use data.binarize=dynamic data.dequantize=false."
        )
    if space.values not in likelihood.values or not isinstance(space, likelihood.reads):
        others = choices("likelihood", lambda part: space.values in part.values and isinstance(space, part.reads))
        change_data = ""
        if isinstance(space, Image) and space.values == "discrete":
            fixes = {"binary": "data.binarize=dynamic", "unit": "data.dequantize=true"}
            change_data = "".join(f", or {fix}" for kind, fix in fixes.items() if kind in likelihood.values)
        raise Refusal(
            f"likelihood={name(likelihood)} scores {' or '.join(sorted(likelihood.values))} values, "
            f"but the data are {space.values}; use {others}{change_data}."
        )


def check_inputs(space: Real, posterior: Any, prior: Any) -> None:
    """Raise `Refusal` for a posterior or a prior that takes the numbers of tokens for quantities."""
    if isinstance(space, Text) and "joint" in posterior.needs:
        raise Refusal(
            f"posterior={name(posterior)} expects real-valued x; token ids are categorical. Try posterior=gaussian."
        )
    if isinstance(space, Pairs) and getattr(prior, "learns_inputs", False):
        raise Refusal(f"prior={name(prior)} learns real-valued inputs; labels are categorical. Try prior=exemplar.")
    if isinstance(space, Text) and getattr(prior, "learns_inputs", False):
        raise Refusal(f"prior={name(prior)} learns inputs by their gradient, and tokens have none; use prior=exemplar.")


def check_experts(posterior: Any, encoder: Any) -> None:
    """Raise `Refusal` for experts of modalities that the network does not tell apart."""
    if "modalities" in posterior.needs and "modalities" not in getattr(encoder, "gives", ()):
        raise Refusal(
            f"posterior={name(posterior)} has an expert for each modality, and network={name(encoder)} gives features "
            "of all of x; use network=paired data=paired likelihood=paired, or posterior=gaussian."
        )


def check_latents(posterior: Any, prior: Any, compiled: bool = False) -> None:
    """Raise `Refusal` unless posterior and prior are distributions over the same kind of space, and can be trained."""
    if compiled and "joint" in posterior.needs:
        raise Refusal(
            f"posterior={name(posterior)} differentiates the decoder twice, which a compiled one cannot; "
            "use compile=false."
        )
    if posterior.latent is not prior.latent:
        fits = choices("prior", lambda part: part.latent is posterior.latent)
        raise Refusal(
            f"posterior={name(posterior)} lives on {posterior.latent.__name__}, prior={name(prior)} on "
            f"{prior.latent.__name__}; use {fits}."
        )
    if missing := sorted(prior.asks - posterior.gives):
        others = choices("posterior", lambda part: prior.asks <= part.gives and part.latent is prior.latent)
        raise Refusal(f"prior={name(prior)} needs the posterior's {', '.join(missing)}; use {others}.")


def check_tower(tower: Any, posterior: Any, encoder: Any) -> None:
    """Raise `Refusal` unless a tower of several levels, not built yet, can stand on this posterior and this network."""
    what, asks = f"latents={name(tower.func)}", tower.func.asks
    if not asks or tower.keywords.get("levels") == 1:
        return
    if "modalities" in posterior.needs:
        raise Refusal(
            f"posterior={name(posterior)} reads the features of each modality as the network gives them, and {what} "
            "mixes them; use latents=single, or posterior=gaussian."
        )
    if "maps" in asks and "maps" not in getattr(encoder, "gives", ()):
        raise Refusal(
            f"{what} reads maps, and network={name(encoder)} gives vectors; "
            "use network=pyramid or resnet_map for images, or latents=ladder."
        )
    if "density" in asks and posterior.latent is not Real:
        raise Refusal(
            f"{what} is over real numbers, but posterior={name(posterior)} lives on {posterior.latent.__name__}; "
            "use latents=single, or posterior=gaussian prior=standard_normal."
        )
    if missing := sorted(asks - posterior.gives):
        others = choices("posterior", lambda part: asks <= part.gives and part.latent is Real)
        raise Refusal(f"{what} needs the posterior's {', '.join(missing)}; use {others}, or latents=single.")
    if (below := tower.keywords.get("below")) is None:
        return
    if not getattr(getattr(below, "func", below), "conditional", False):
        others = choices("prior", lambda part: getattr(part, "conditional", False))
        raise Refusal(
            f"The priors below the top read the state above, which that of latents.below cannot; "
            f"use {others.replace('prior=', 'prior@latents.below=')}."
        )


def check_condition(space: Real, condition: Any, tower: Any, posterior: Any, prior: Any) -> None:
    """Raise `Refusal` unless each part can read the condition, None without, and the tower has the one it needs."""
    if condition is None:
        if tower.infers:
            raise Refusal(f"latents={name(tower)} is over the classes of a condition; use condition=label.")
        return
    if posterior.needs & {"joint", "modalities"}:
        raise Refusal(f"posterior={name(posterior)} reads no condition; use posterior=gaussian, or '~condition'.")
    if "infer" in prior.needs:
        raise Refusal(f"prior={name(prior)} is of q(z | x), which reads a condition; use prior=gaussian.")
    classes = len(space.classes) if isinstance(space, Table) else 0
    if classes and condition.column == "label" and condition.classes != [classes]:
        raise Refusal(
            f"Got condition.classes={condition.classes}, but the label of this table has {classes}; "
            f"use condition.classes={classes}."
        )
    if tower.infers and (condition.column != "label" or condition.shape):
        raise Refusal(f"latents={name(tower)} infers one class a row; use condition=label condition.classes=10.")


def check_objective(objective: Any, vae: VAE, penalties: Collection[str]) -> None:
    """Raise `Refusal` unless the posterior, the prior and the tower give what the objective needs."""
    learned = any(True for level in vae.latents.levels for _ in level.prior.parameters())
    coded = [level for level in vae.latents.levels if isinstance(level.space, Codes)]
    gradient = all("rsample" in level.gives for level in coded)
    elsewhere = {
        "learned_prior": (learned, "prior=autoregressive" if coded else "prior=flow"),
        "continuous": (not coded, f"objective={'elbo' if gradient else 'vimco'}"),
        "no_penalty": (not penalties, "penalty=[]"),
        "independent_draws": (
            not any("stratified" in level.gives for level in vae.latents.levels),
            "objective=miwae objective.outer=2",
        ),
    }
    if vae.latents.infers and "labelled" not in objective.needs:
        raise Refusal(
            f"objective={name(type(objective))} draws z, and a class has no gradient; use objective=semi_supervised."
        )
    _check_needs(f"objective={name(type(objective))}", objective.needs, vae, elsewhere)


def check_gradient(objective: Any, vae: VAE) -> None:
    """Raise `Refusal` for an objective whose gradient would not hear the prior of random codes. Evaluated it may be."""
    coded = [level for level in vae.latents.levels if isinstance(level.space, Codes) and "certain" not in level.gives]
    joint = [name(type(level.prior)) for level in coded if "factorised" not in getattr(level.prior, "gives", ())]
    if joint and {"rsample", "log_prob"} <= objective.needs:
        raise Refusal(
            f"objective={name(type(objective))} needs the KL of random codes in closed form, and prior={joint[0]} is "
            "of all positions together, which has none; use prior=code_uniform (and fit the other afterwards, by "
            "task=fit_prior), objective=vimco, or posterior=vq."
        )


def check_penalty(choice: str, penalty: Any, vae: VAE, compiled: bool = False) -> None:
    """Raise `Refusal` unless the posterior, the spaces and the tower give what the penalty needs."""
    flat = all(type(level.space) is Real for level in vae.latents.levels)
    euclidean = "posterior=gaussian prior=standard_normal"
    elsewhere = {
        "image": (isinstance(vae.space, Image), "data=mnist or another data set of images"),
        "euclidean": (flat, euclidean),
        "pairs": (isinstance(vae.space, Pairs), "data=paired"),
        "double_backward": (not compiled, "compile=false"),
        "quantities": (not isinstance(vae.space, Text), "penalty=decoder_weights"),
        "continuous": (not any(isinstance(level.space, Codes) for level in vae.latents.levels), euclidean),
        "quantized": (all("quantized" in each.gives for each in vae.latents.levels), "posterior=vq prior=code_uniform"),
    }
    if "image" in penalty.needs and "autoregressive" in vae.likelihood.gives:
        raise Refusal(
            f"penalty={choice} looks at the mean of x, and likelihood={name(type(vae.likelihood))} only has it of "
            f"draws made value by value; use {' or '.join(filter(None, (one_by_one(vae.space), 'penalty=[]')))}."
        )
    _check_needs(f"penalty={choice}", penalty.needs, vae, elsewhere)


def _check_needs(what: str, needs: frozenset[str], vae: VAE, elsewhere: dict[str, tuple[bool, str]]) -> None:
    """elsewhere: of each need that is not the posterior's to give, whether it is there, and what brings it."""
    levels: Any = vae.latents.levels
    gives = frozenset.intersection(*(level.gives for level in levels))
    elsewhere = {
        "single_level": (len(levels) == 1, "latents=single"),
        "labelled": (vae.latents.infers, "model=m2_vae"),
        **elsewhere,
    }
    missing = sorted(needs - gives - {need for need, (there, _) in elsewhere.items() if there})
    fixes = [elsewhere[need][1] for need in missing if need in elsewhere]
    if fewer := needs - elsewhere.keys() - gives:
        near = choices("posterior", lambda part: fewer <= part.gives and part.latent is type(levels[0].space))
        fixes.append(near or "posterior=gaussian prior=standard_normal")
    if missing:
        raise Refusal(f"{what} needs {', '.join(missing)}; use {' '.join(dict.fromkeys(fixes))}.")


def check_training(config: Any) -> None:
    """Raise `Refusal` for numbers that cannot train, for a device that is not there, and for an account that is not."""
    for group in ("data", "optimizer", "trainer"):
        check_types(config[group], group)
    for key, hint in {"seed": int, "compile": bool, "optimizer.warmup": float, "evaluation.num_samples": int}.items():
        check_type(key, OmegaConf.select(config, key), hint)
    if config["seed"] < 0:
        raise Refusal(f"seed={config['seed']} must be at least 0; use seed=1.")
    if config["optimizer"]["lr"] <= 0:
        raise Refusal(f"optimizer.lr={config['optimizer']['lr']} must be above 0; use optimizer.lr=1e-3.")
    cuda, mps = torch.cuda.is_available, torch.backends.mps.is_available
    there: dict[str, Callable[[], bool]] = {"gpu": lambda: cuda() or mps(), "cuda": cuda, "mps": mps}
    accelerator = config["trainer"]["accelerator"]
    if accelerator in there and not there[accelerator]():
        raise Refusal(f"trainer.accelerator={accelerator}: this machine has none that torch can use; use trainer=cpu.")
    if (clip := config["trainer"]["gradient_clip_val"]) is not None and clip < 0:
        raise Refusal(f"trainer.gradient_clip_val={clip} must be at least 0; use trainer.gradient_clip_val=1.")
    scaled = str(config["trainer"]["precision"]) in ("16", "16-mixed")
    measured = clip or (config["callbacks"] or {}).get("skip")
    if scaled and measured and config["optimizer"]["algorithm"].get("fused"):
        raise Refusal(
            "A fused optimiser cannot clip or skip the scaled gradients of trainer.precision=16-mixed; "
            "use trainer.precision=bf16-mixed or optimizer.algorithm.fused=false."
        )
    online = (config["logger"] or {}).get("wandb")
    if online and not online.get("offline"):
        import wandb  # asks on the terminal, and waits, if it is first used without an account

        if wandb.setup().settings.mode == "online" and not wandb.login(prompt=False):
            raise Refusal(
                "logger=wandb: this machine is not logged in to W&B; type `wandb login`, or set WANDB_MODE=offline."
            )


def check_sharding(config: Any, vae: torch.nn.Module) -> None:
    """Raise `Refusal` for what trainer=fsdp cannot spread over processes, or what reads weights that it has spread."""
    if "fsdp" not in str(config["trainer"]["strategy"]).lower():  # its name, or its class
        return
    if config["penalty"] or any((config["callbacks"] or {}).get(name) for name in ("ema", "skip", "lagging")):
        raise Refusal(
            "trainer=fsdp leaves each process a part of the weights; penalties and callbacks=ema, skip or lagging read "
            "all of them: use trainer=ddp, or penalty=[] callbacks=default."
        )
    if number := next((name for name, weight in vae.named_parameters() if weight.dim() == 0), None):
        raise Refusal(f"trainer=fsdp cannot spread {number}, a single number; use trainer=ddp.")


def check_sizes(vae: torch.nn.Module) -> None:
    """Raise `Refusal` for a layer of no units, which torch would train without a word."""
    for name, weights in vae.named_parameters():
        if weights.numel() == 0:
            key = "latents.*, e.g. latents.dim=32" if name.startswith("latents.") else "network.*, e.g. network=mlp"
            raise Refusal(f"{name} holds no numbers, because a layer has size 0; give sizes of at least 1 in {key}.")
