"""The only place that refuses a combination of parts.

Parts declare what they read, score, give and require. Here the declarations of a plan are compared, before anything is
built and before any data is read. Every refusal ends in overrides that can be pasted.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any

from vaekit.capabilities import Capability, Input
from vaekit.coding.bits_back import is_discrete, train_coded, train_discrete
from vaekit.configs import choices
from vaekit.likelihoods.likelihood import check_missing, one_by_one
from vaekit.media.medium import check_medium
from vaekit.refusal import Refusal
from vaekit.spaces import Codes, Levels, Maps, Pairs, Real, Series, Space, Table, Text

if TYPE_CHECKING:
    from vaekit.plan.plan import Choice, Plan


def check(plan: Plan) -> None:
    """Refuse a plan whose parts do not fit each other.

    Args:
        plan: What a configuration chose.

    Raises:
        Refusal: For the first part that does not fit another one, or the data.
    """
    _check_space(plan)
    _check_inputs(plan)
    _check_posterior(plan)
    for tower in (plan.latents, plan.latents.settings.get("given", plan.latents)):  # the one below a class as well
        _check_tower(plan, tower)
    _check_condition(plan)
    if plan.objective:
        _check_objective(plan, plan.objective)
    for name, penalty in plan.penalties.items():
        _check_penalty(plan, name, penalty)
    if plan.training and plan.objective:
        _check_gradient(plan, plan.objective)
        _check_run(plan)
        _check_privacy(plan)


def name(part: Any) -> str:
    """The name under which a part is chosen: that of its module.

    Args:
        part: Class or function of the part.
    """
    return part.__module__.rpartition(".")[2]


def _check_space(plan: Plan) -> None:
    """Check that the network reads this data space, and that the likelihood scores its values."""
    space, encoder, likelihood = plan.space, plan.encoder.kind, plan.likelihood.kind
    if plan.training:  # whose figures, at the end, are files
        check_medium(space)
    network = plan.typed(f"network={name(encoder)}")
    if not isinstance(space, encoder.reads):
        kind = encoder.reads.__name__.lower().removesuffix("s") + "s"
        given = "vectors" if isinstance(space, Real) else f"{type(space).__name__.lower().removesuffix('s')}s"
        other = plan.typed(f"network={'gru' if isinstance(space, Text) else 'mlp'}")
        raise Refusal(f"{network} reads {kind}, but the data are {given} of shape {list(space.shape)}; use {other}.")
    if isinstance(space, Text) and encoder.reads is Space:
        raise Refusal(f"{network} expects real-valued input; token ids are categorical. Try network=gru.")
    if isinstance(space, Maps) and min(space.shape[1:]) < 8 and encoder.reads is Maps:
        raise Refusal(f"{network} requires images of at least 8x8 pixels, got {list(space.shape)}; use network=mlp.")
    if isinstance(space, Pairs) and space.image.values != "binary":
        raise Refusal("Images of pairs must be binary; use data.binarize=dynamic data.dequantize=false.")
    if not likelihood.scores(space):
        change_data = ""
        if space.values == "discrete":
            fixes = {"binary": "data.binarize=dynamic", "unit": "data.dequantize=true"}
            change_data = "".join(f", or {fix}" for kind, fix in fixes.items() if kind in likelihood.values)
        raise Refusal(
            f"{plan.typed(f'likelihood={name(likelihood)}')} scores {' or '.join(sorted(likelihood.values))} values, "
            f"but the data are {space.values}; use "
            f"{plan.typed(choices('likelihood', lambda part: part.scores(space)))}{change_data}."
        )
    if space.incomplete:
        check_missing(space, likelihood.gives, (q.gives for q, _ in plan.arrows))


def _check_inputs(plan: Plan) -> None:
    """Check that posterior and prior do not read token ids as quantities, and that experts have their features."""
    space, posterior, prior = plan.space, plan.posterior.kind, plan.prior.kind
    if isinstance(space, Text) and Input.JOINT in posterior.inputs:
        raise Refusal(
            f"posterior={name(posterior)} expects real-valued x; token ids are categorical. Try posterior=gaussian."
        )
    if isinstance(space, Pairs) and prior.learns_inputs:
        raise Refusal(f"prior={name(prior)} learns real-valued inputs; labels are categorical. Try prior=exemplar.")
    if isinstance(space, Text) and prior.learns_inputs:
        raise Refusal(f"prior={name(prior)} learns inputs by gradient, which tokens do not have; use prior=exemplar.")
    if Input.MODALITIES in posterior.inputs and Capability.MODALITIES not in plan.encoder.kind.gives:
        raise Refusal(
            f"{plan.typed(f'posterior={name(posterior)}')} has an expert for each modality, and "
            f"{plan.typed(f'network={name(plan.encoder.kind)}')} gives features of all of x; use "
            f"{plan.typed('network=paired data=paired likelihood=paired')}, or {plan.typed('posterior=gaussian')}."
        )


def _check_posterior(plan: Plan) -> None:
    """Check that posterior and prior are over the same kind of space, and can be trained."""
    posterior, prior = plan.posterior.kind, plan.prior.kind
    posterior_word, prior_word = plan.typed(f"posterior={name(posterior)}"), plan.typed(f"prior={name(prior)}")
    if plan.compiled and Input.JOINT in posterior.inputs:
        raise Refusal(
            f"{posterior_word} differentiates the decoder twice, which a compiled decoder does not support; "
            "use compile=false."
        )
    if posterior.latent is not prior.latent:
        fits = plan.typed(choices("prior", lambda part: part.latent is posterior.latent))
        raise Refusal(
            f"{posterior_word} is a distribution on {posterior.latent.__name__}, {prior_word} on "
            f"{prior.latent.__name__}; use {fits}."
        )
    if missing := sorted(prior.requires - plan.posterior.gives):
        others = choices("posterior", lambda part: prior.requires <= part.gives and part.latent is prior.latent)
        raise Refusal(f"{prior_word} needs the posterior's {', '.join(missing)}; use {plan.typed(others)}.")


def _check_tower(plan: Plan, tower: Choice) -> None:
    """Check that the latent levels work with this posterior and this network."""
    posterior, encoder = plan.posterior, plan.encoder.kind
    what, requires = plan.typed(f"latents={name(tower.kind)}"), tower.kind.requires
    if not requires or tower.settings.get("levels") == 1:
        return
    flat = plan.typed("latents=single")
    if Input.MODALITIES in posterior.kind.inputs:
        raise Refusal(
            f"posterior={name(posterior.kind)} reads the features of each modality as the network gives them, and "
            f"{what} mixes them; use {flat}, or {plan.typed('posterior=gaussian')}."
        )
    if Capability.MAPS in requires and Capability.MAPS not in encoder.gives:
        raise Refusal(
            f"{what} reads maps, and {plan.typed(f'network={name(encoder)}')} gives vectors; "
            f"use {plan.typed('network=pyramid')} or resnet_map for images, or {plan.typed('latents=ladder')}."
        )
    if Capability.DENSITY in requires and posterior.kind.latent is not Real:
        real = plan.typed("posterior=gaussian prior=standard_normal")
        raise Refusal(
            f"{what} is over real numbers, but {plan.typed(f'posterior={name(posterior.kind)}')} is a distribution on "
            f"{posterior.kind.latent.__name__}; use {flat}, or {real}."
        )
    if missing := sorted(requires - posterior.gives):
        others = plan.typed(choices("posterior", lambda part: requires <= part.gives and part.latent is Real))
        raise Refusal(f"{what} needs the posterior's {', '.join(missing)}; use {others}, or {flat}.")
    classifier = tower.settings.get("classifier")
    if classifier is not None and Capability.ENUMERATE not in classifier.gives:
        others = choices("posterior", lambda part: Capability.ENUMERATE in part.gives)
        raise Refusal(
            f"{plan.at('latents.classifier')} must give the probability of every class, which "
            f"posterior={name(classifier.kind)} does not; use "
            f"{plan.typed(others.replace('posterior=', 'posterior@latents.classifier='))}."
        )
    if (below := tower.settings.get("below")) is not None and not below.kind.conditional:
        others = choices("prior", lambda part: part.conditional).replace("prior=", "prior@latents.below=")
        raise Refusal(
            f"The priors below the top read the state above, which that of {plan.at('latents.below')} cannot; "
            f"use {plan.typed(others)}."
        )


def _check_condition(plan: Plan) -> None:
    """Check that each part can read the condition, and that the latents have the condition they need."""
    condition, tower, posterior, prior = plan.condition, plan.latents.kind, plan.posterior.kind, plan.prior.kind
    if condition is None:
        if tower.infers:
            raise Refusal(f"latents={name(tower)} is over the classes of a condition; use condition=label.")
        return
    if posterior.inputs & {Input.JOINT, Input.MODALITIES}:
        raise Refusal(f"posterior={name(posterior)} reads no condition; use posterior=gaussian, or '~condition'.")
    if Input.INFER in prior.inputs:
        raise Refusal(f"prior={name(prior)} is of q(z | x), which reads a condition; use prior=gaussian.")
    classes = len(plan.space.classes) if isinstance(plan.space, Table) else 0
    if classes and condition.column == "label" and condition.classes != [classes]:
        raise Refusal(
            f"Got condition.classes={condition.classes}, but the label of this table has {classes}; "
            f"use condition.classes={classes}."
        )
    if tower.infers and (condition.column != "label" or condition.shape):
        raise Refusal(f"latents={name(tower)} infers one class a row; use condition=label condition.classes=10.")


def _coded(plan: Plan) -> list[tuple[Choice, Choice]]:
    """The posterior and prior of each level of discrete codes."""
    return [each for each in plan.arrows if each[0].kind.latent is Codes]


def _check_objective(plan: Plan, objective: Choice) -> None:
    """Check that posterior, prior and latents give what the objective requires."""
    coded = _coded(plan)
    what, gradient = f"objective={name(objective.kind)}", all(Capability.RSAMPLE in q.gives for q, _ in coded)
    present = {
        Capability.LEARNED_PRIOR: (
            any(prior.kind.learned for _, prior in plan.arrows),
            "prior=autoregressive" if coded else "prior=flow",
        ),
        Capability.CONTINUOUS: (not coded, f"objective={'elbo' if gradient else 'vimco'}"),
        Capability.EUCLIDEAN: (all(q.kind.latent is Real for q, _ in plan.arrows), "posterior=gaussian prior=flow"),
        Capability.NO_PENALTY: (not plan.penalties, "penalty=[]"),
        Capability.INDEPENDENT_DRAWS: (
            not any(Capability.STRATIFIED in q.gives for q, _ in plan.arrows),
            "objective=miwae objective.outer=2",
        ),
    }
    if plan.latents.kind.infers and Capability.LABELLED not in objective.requires:
        raise Refusal(f"{what} draws z, and a class has no gradient; use objective=semi_supervised.")
    _check_requires(plan, what, objective.requires, present)


def _check_gradient(plan: Plan, objective: Choice) -> None:
    """Check that the gradient of the objective reaches a prior of random codes, if it is to be trained."""
    random = [prior.kind for q, prior in _coded(plan) if Capability.DETERMINISTIC not in q.gives]
    joint = [name(prior) for prior in random if Capability.FACTORISED not in prior.gives]
    if joint and {Capability.RSAMPLE, Capability.LOG_PROB} <= objective.requires:
        raise Refusal(
            f"objective={name(objective.kind)} needs the KL of random codes in closed form, and prior={joint[0]} is "
            "of all positions together, which has none; use prior=code_uniform (and fit the other afterwards, by "
            "task=fit_prior), objective=vimco, or posterior=vq."
        )


def _check_penalty(plan: Plan, choice: str, penalty: Choice) -> None:
    """Check that posterior, spaces and latents give what the penalty requires."""
    requires, space = penalty.kind.requires, plan.space
    euclidean = "posterior=gaussian prior=standard_normal"
    present = {
        Capability.IMAGE: (isinstance(space, Maps), "data=mnist or another data set of images"),
        Capability.EUCLIDEAN: (all(q.kind.latent is Real for q, _ in plan.arrows), euclidean),
        Capability.PAIRS: (isinstance(space, Pairs), "data=paired"),
        Capability.DOUBLE_BACKWARD: (not plan.compiled, "compile=false"),
        Capability.QUANTITIES: (not isinstance(space, Text), "penalty=decoder_weights"),
        Capability.CONTINUOUS: (not _coded(plan), euclidean),
        Capability.QUANTIZED: (
            all(Capability.QUANTIZED in q.gives for q, _ in plan.arrows),
            "posterior=vq prior=code_uniform",
        ),
    }
    if Capability.IMAGE in requires and Capability.AUTOREGRESSIVE in plan.likelihood.kind.gives:
        raise Refusal(
            f"penalty={choice} reads the mean of x, and likelihood={name(plan.likelihood.kind)} only has it of "
            f"draws made value by value; use {' or '.join(filter(None, (one_by_one(space), 'penalty=[]')))}."
        )
    _check_requires(plan, f"penalty={choice}", requires, present)


def lacks(plan: Plan, task: Any) -> tuple[list[Capability], str]:
    """What a task requires that a plan does not have.

    Args:
        plan: Of a trained model.
        task: A function, with the attribute `requires` where `vaekit.tasks.shared.requires` declares what it requires.

    Returns:
        The missing capabilities, and the overrides of a model that has them.
    """
    space, euclidean = plan.space, "posterior=gaussian prior=standard_normal"
    uncoded = _uncoded(plan)
    present = {
        Capability.PAIRS: (isinstance(space, Pairs), "data=paired"),
        Capability.FACTORS: (_has_factors(plan), "data=sprites"),
        Capability.RETURNS: (isinstance(space, Series) and space.returns, "data=series"),
        Capability.PLAYABLE: (isinstance(space, Levels) and space.playable, "data=levels"),
        Capability.UNCONDITIONAL: (plan.condition is None or plan.latents.kind.infers, "'~condition'"),
        Capability.AXES: (any(q.kind.latent is Real for q, _ in plan.arrows), euclidean),
        Capability.DISCRETE: (is_discrete(space), train_discrete(space)),
        Capability.CODED: (not uncoded, " ".join(uncoded)),
        Capability.PARTIAL: (
            bool(plan.likelihood.kind.gives & {Capability.FACTORISED, Capability.GIVEN}),
            one_by_one(space) or "other data",
        ),
    }
    return _missing(plan, getattr(task, "requires", frozenset()), present)


def _has_factors(plan: Plan) -> bool:
    """Whether the rows of the data have labels of several factors."""
    data: Any = plan.config.get("data")  # which a saved VAE lacks
    return bool(data and resolve_name(data["module"]["source"]["_target_"]).factors)


def _uncoded(plan: Plan) -> list[str]:
    """What to type in place of the parts whose distributions cannot be entropy-coded."""
    parts: list[tuple[str, Choice, Callable[[Any], bool]]] = []
    if is_discrete(plan.space):  # otherwise the data must change, and the likelihood with them
        parts += [("likelihood", plan.likelihood, lambda other: other.scores(plan.space))]
    for q, p in plan.arrows:
        parts += [(group, part, partial(_is_over, q.kind.latent)) for group, part in (("posterior", q), ("prior", p))]
    return [train_coded(group, fits) for group, part, fits in parts if Capability.CODED not in part.kind.gives]


def _is_over(latent: type[Space], part: Any) -> bool:
    return part.latent is latent


def _check_requires(
    plan: Plan, what: str, requires: frozenset[Capability], present: dict[Capability, tuple[bool, str]]
) -> None:
    missing, fixes = _missing(plan, requires, present)
    if missing:
        raise Refusal(f"{what} needs {', '.join(missing)}; use {fixes}.")


def _missing(
    plan: Plan, requires: frozenset[Capability], present: dict[Capability, tuple[bool, str]]
) -> tuple[list[Capability], str]:
    """The requirements that are not met, and what to type. present: those that the posterior does not determine alone:
    whether it is met, and what to type."""
    arrows = plan.arrows
    gives = frozenset.intersection(*(q.gives for q, _ in arrows))
    present = {
        Capability.SINGLE_LEVEL: (len(arrows) == 1, "latents=single"),
        Capability.LABELLED: (plan.latents.kind.infers, "model=m2_vae"),
        **present,
    }
    missing = sorted(each for each in requires if not (present[each][0] if each in present else each in gives))
    fixes = [present[each][1] for each in missing if each in present]
    if fewer := requires - present.keys() - gives:
        near = choices("posterior", lambda part: fewer <= part.gives and part.latent is arrows[0][0].kind.latent)
        fixes.append(near or "posterior=gaussian prior=standard_normal")
    return missing, " ".join(dict.fromkeys(fixes))


def _check_privacy(plan: Plan) -> None:
    """Check that nothing but the noised gradients of rows reaches the weights."""
    config: Any = plan.config
    if not config.get("privacy"):
        return
    trainer, labels = config["trainer"], config["data"]["module"].get("labels")
    accumulated = trainer["accumulate_grad_batches"] > 1
    several = trainer["devices"] != 1 or trainer["num_nodes"] != 1
    halved = str(trainer["precision"]) in ("16-true", "bf16-true")
    wrong = {
        "penalties compare rows": (plan.penalties, "penalty=[]"),
        "a condition stores how frequent its values are in the rows": (plan.condition, "'~condition'"),
        "a prior keeps training rows": (any(prior.kind.keeps_rows for _, prior in plan.arrows), "prior=vamp"),
        "labeled rows are repeated": (labels, "data.labels=null"),
        "its noise is added in one process": (several, "trainer.devices=1 trainer.num_nodes=1"),
        "its noise needs more than 16 bits": (halved, "trainer.precision=32-true"),
        "its noise is added once a batch": (accumulated, "trainer.accumulate_grad_batches=1"),
        "the noise is chosen for all steps": (trainer["max_epochs"] in (None, -1), "trainer.max_epochs=50"),
        "a search for a learning rate reads the rows as well": (config["find_lr"], "find_lr=false"),
    }
    for reason, (found, fix) in wrong.items():
        if found:
            raise Refusal(f"privacy=dp does not work like this, because {reason}. Use {fix}.")


def _check_run(plan: Plan) -> None:
    """Check that precision and strategy support the optimizer, the penalties and the callbacks."""
    config: Any = plan.config
    scaled = str(config["trainer"]["precision"]) in ("16", "16-mixed")
    callbacks = config["callbacks"] or {}
    measured = config["trainer"]["gradient_clip_val"] or callbacks.get("skip")
    if scaled and measured and config["optimizer"]["algorithm"].get("fused"):
        raise Refusal(
            "A fused optimizer cannot clip or skip the scaled gradients of trainer.precision=16-mixed; "
            "use trainer.precision=bf16-mixed or optimizer.algorithm.fused=false."
        )
    sharded = "fsdp" in str(config["trainer"]["strategy"]).lower()  # its name, or its class
    if sharded and (plan.penalties or any(callbacks.get(name) for name in ("ema", "skip", "lagging"))):
        raise Refusal(
            "trainer=fsdp leaves each process a part of the weights; penalties and callbacks=ema, skip or lagging read "
            "all of them: use trainer=ddp, or penalty=[] callbacks=default."
        )
