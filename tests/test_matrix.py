"""Every combination of the parts trains and generates, or is refused with a message."""

import itertools
import math
import random
import re
from dataclasses import replace
from functools import cache, partial

import numpy as np
import pytest
import torch
from hydra.utils import get_class
from safetensors.torch import save_file

from helpers import SPACES, config, examples
from spaces_of_z import POSTERIOR, PRIOR
from vaekit.capabilities import Input
from vaekit.configs import options
from vaekit.plan.plan import Plan
from vaekit.refusal import Refusal
from vaekit.spaces import Codes
from vaekit.training.module import Training

pytestmark = pytest.mark.long  # all combinations, in two minutes of a core
GROUPS = ("posterior", "prior", "likelihood", "objective", "network")
SMALL = {
    "network=mlp": ["network.hidden=[8]"],
    "network=gated_mlp": ["network.width=8", "network.blocks=1"],
    "network=conv": ["network.channels=[4]", "network.features=8"],
    "network=resnet": ["network.channels=[4]", "network.features=8"],
    "network=sequence": ["network.width=4", "network.features=8"],
    "network=wave": ["network.channels=[4]", "network.blocks=1", "network.features=8"],
    "network=pyramid": ["network.channels=4"],
    "network=resnet_map": ["network.channels=[4]"],
    "network=paired": ["network.image.hidden=[8]", "network.label=8"],
    "network=gru": ["network.width=4", "network.embedding=4"],
    "network=table_transformer": ["network.width=4", "network.blocks=1", "network.heads=2"],
    "network=transformer": ["network.width=4", "network.blocks=1", "network.heads=2"],
    "latents=ladder": ["latents.dim=3", "latents.levels=2", "latents.width=8"],
    "latents=map": ["latents.dim=3"],
    "latents=labelled": ["latents.given.dim=3", "condition=label"],
    "latents=deep": ["latents.dim=2", "latents.blocks=[2x1,1x1]"],
    "prior=vamp": ["prior.components=4"],
    "prior=exemplar": ["prior.components=4"],
    "prior=mixture": ["prior.components=4"],
    "prior=flow": ["prior.flow.transforms=2", "prior.flow.hidden_features=[8]"],
    "prior=flow_matching": ["prior.width=8", "prior.blocks=1", "prior.steps=2"],
    "prior=autoregressive": ["prior.width=8", "prior.blocks=2", "prior.heads=2"],
    "prior=two_stage": ["prior.second.network.hidden=[8]", "prior.second.latents.dim=3", "prior.num_samples=2"],
    "likelihood=tokens": ["likelihood.context=4", "likelihood.writer.width=4", "likelihood.writer.embedding=4"],
    "likelihood=pixel_autoregressive": ["likelihood.width=4", "likelihood.layers=1"],
    "likelihood=table_autoregressive": ["likelihood.width=4", "likelihood.blocks=1"],
    "likelihood=tiles_autoregressive": ["likelihood.maps=1", "likelihood.width=4", "likelihood.layers=1"],
    "likelihood=wave_autoregressive": ["likelihood.maps=1", "likelihood.width=4", "likelihood.layers=2"],
    "posterior=fsq": ["posterior.levels=[5]"],
    "posterior=categorical": ["posterior.codes=3"],
    "posterior=gumbel": ["posterior.codes=3"],
    "posterior=vq": ["posterior.codes=5", "posterior.depth=2"],
    "posterior=flow": ["posterior.flow.hidden_features=[8]", "posterior.context=4"],
    "penalty=factor": ["penalty.factor.hidden=[8]"],
    "penalty=adversary": ["penalty.adversary.hidden=[8]"],
    "penalty=image_adversary": ["penalty.image_adversary.channels=[4]", "penalty.image_adversary.features=8"],
    "objective=miwae": ["objective.outer=2", "objective.inner=2"],
    "objective=piwae": ["objective.outer=2", "objective.inner=2"],
    **{
        f"objective={name}": ["objective.num_samples=3"]
        for name in ("iwae", "dreg", "sticking_the_landing", "ciwae", "renyi", "reweighted_wake_sleep", "vimco")
    },
}
LABELLED = ("latents=labelled", "condition=label")
CHOICES = {group: sorted(options(group)) for group in GROUPS}
AXES = [list(SPACES), *CHOICES.values()]


def sample(n, seed):
    """n of all combinations, without a list of the millions that there are."""
    sizes = [*map(len, AXES)]
    numbers = random.Random(seed).sample(range(math.prod(sizes)), n)
    return [tuple(axis[i] for axis, i in zip(AXES, np.unravel_index(each, sizes), strict=True)) for each in numbers]


SAMPLE = sample(400, seed=0)
TALL = {tower: sample(60, seed=1) for tower in ("ladder", "deep", "map")}


def plan(combination, *more):
    """What a combination chooses, group by group: the whole product in minutes rather than hours.

    more: further choices, e.g. `penalty=mmd`.
    """
    choices = [*(f"{group}={name}" for group, name in zip(GROUPS, combination[1:], strict=True)), *more]
    groups = {each.partition("=")[0]: config(each, *SMALL.get(each, []))[each.partition("=")[0]] for each in choices}
    return Plan.read({"latents": config("latents.dim=3").latents, **groups}, SPACES[combination[0]])


def build(combination, *more):
    """The VAE, objective and penalties of a combination."""
    chosen = plan(combination, *more)
    torch.manual_seed(0)
    return chosen.build()


def check(combination, *more):
    """Train two steps and use every verb, or see it refused: whether it trained."""
    space = SPACES[combination[0]]
    if combination[4] == "semi_supervised" and not more:
        more = LABELLED
    try:
        vae, objective, _ = build(combination, *more)
    except Refusal as refusal:
        assert_helps(refusal)
        return False
    batch = replace(examples(space, 5), label=torch.tensor([0, 9, 3, 3, 1]))
    given = vae.condition_of(batch)
    optimizer = torch.optim.Adam(vae.parameters(), 1e-3)
    for _ in range(2):
        optimizer.zero_grad()
        loss = objective(vae(batch, objective.num_samples), 0.5)
        assert loss.shape == (5,)
        assert torch.isfinite(loss).all()
        loss.mean().backward()
        assert all(torch.isfinite(p.grad).all() for p in vae.parameters() if p.grad is not None)
        optimizer.step()

    assert vae.sample(2).shape == vae.sample(2, draw=True).shape == (2, *space.shape)
    assert vae.reconstruct(batch.x, condition=given).shape == batch.x.shape
    one = None if given is None else 0
    assert vae.interpolate(batch.x[:1], batch.x[1:2], steps=3, condition=one).shape == (1, 3, *space.shape)
    assert vae.vary(batch.x, n=2, condition=given).shape == (5, 2, *space.shape)
    if vae.condition is not None:
        assert vae.sample(2, condition=3).shape == (2, *space.shape)
    if vae.has_density:
        assert torch.isfinite(vae.log_likelihood(batch.x, num_samples=3, condition=given)).all()
    else:
        with pytest.raises(Refusal, match="density"):
            vae.log_likelihood(batch.x, condition=given)
    return True


def assert_helps(refusal):
    fix = str(refusal).rpartition("use ")[2]
    assert re.search(r"[a-z]+=(\w|\[)", fix), f"nothing to paste: {fix}"


@pytest.mark.parametrize("combination", SAMPLE, ids="-".join)
def test_trains_and_answers_or_is_refused(combination):
    check(combination)


@pytest.mark.parametrize(("tower", "combination"), [(tower, each) for tower in TALL for each in TALL[tower]], ids=str)
def test_deep_latents_train_and_generate_or_are_refused(tower, combination):
    if tower == "deep":  # nearly all others are refused
        combination = (combination[0], "gaussian", *combination[2:-1], "pyramid")
    if tower == "map":
        combination = (*combination[:-1], "resnet_map")
    check(combination, f"latents={tower}")


def pairs(network):
    """Every posterior with every prior over the same space, and an objective that may train it."""
    for posterior, prior in itertools.product(CHOICES["posterior"], CHOICES["prior"]):
        q, p = (
            get_class(options(group)[name]["_target_"]) for group, name in (("posterior", posterior), ("prior", prior))
        )
        if q.latent is p.latent:
            objective = "elbo" if "log_prob" in q.gives else "reconstruction"
            objective = objective if "rsample" in q.gives else "reweighted_wake_sleep"
            yield "binary", posterior, prior, "bernoulli", objective, network


@pytest.mark.parametrize(("tower", "network"), [("single", "mlp"), ("ladder", "conv"), ("deep", "pyramid")])
def test_every_posterior_and_prior_reads_a_label_or_is_refused(tower, network):
    more = ["condition=label"] if tower == "single" else ["condition=label", f"latents={tower}"]
    trained = {each[1:3] for each in pairs(network) if check(each, *more)}
    assert {("gaussian", "standard_normal"), ("gaussian", "gaussian")} <= trained


def test_a_class_level_works_with_every_posterior_and_prior_or_is_refused():
    trained = {each[1:3] for each in pairs("mlp") if check((*each[:4], "semi_supervised", each[5]))}
    assert {("gaussian", "standard_normal"), ("flow", "gaussian"), ("full_gaussian", "flow")} <= trained


@pytest.mark.slow
@pytest.mark.parametrize("first", list(itertools.product(SPACES, CHOICES["posterior"])), ids="-".join)
def test_the_whole_product(first):
    trained = [check((*first, *rest)) for rest in itertools.product(*list(CHOICES.values())[1:])]
    assert any(trained)


KINDS = {
    **{("network", name): get_class(each["encoder"]["_target_"]) for name, each in options("network").items()},
    **{
        (group, name): get_class(each["_target_"])
        for group in ("likelihood", "posterior")
        for name, each in options(group).items()
    },
}


@cache
def is_readable(space, likelihood, network):
    """Whether a network reads the space and the likelihood scores it: of some there is one among many."""
    reads = isinstance(SPACES[space], KINDS["network", network].reads)
    return reads and KINDS["likelihood", likelihood].scores(SPACES[space])


def readable(combinations):
    return (each for each in combinations if is_readable(each[0], each[3], each[5]))


@pytest.mark.parametrize(("group", "choice"), [(group, name) for group in GROUPS for name in CHOICES[group]], ids=str)
def test_each_part_trains_somewhere(group, choice):
    """A part whose every use is refused would pass the tests above."""
    source, axes = random.Random(0), [AXES[0], *(CHOICES | {group: [choice]}).values()]
    drawn = (tuple(map(source.choice, axes)) for _ in range(100_000))
    assert any(check(combination) for combination in readable(drawn))


@pytest.mark.parametrize(
    ("group", "choice"), [(group, name) for group in ("prior", "posterior", "likelihood") for name in CHOICES[group]]
)
def test_every_weight_of_a_part_learns(group, choice):
    modalities = group == "posterior" and Input.MODALITIES in KINDS[group, choice].inputs
    objectives = ["elbo", "reconstruction", "reweighted_wake_sleep"]
    spaces = sorted(SPACES, key=lambda space: (space == "pairs") != modalities)
    axes = [spaces, *(CHOICES | {"objective": objectives, group: [choice]}).values()]
    for combination in readable(itertools.product(*axes)):
        without_gradient = choice == "categorical" and combination[2] == "code_uniform"  # at z
        if combination[4] == "reweighted_wake_sleep" and not without_gradient:
            continue
        if combination[2] == "autoregressive" and group != "prior":  # of a single code it has nothing to embed
            continue
        try:
            vae, objective, _ = build(combination)
        except Refusal:
            continue
        objective(vae(examples(SPACES[combination[0]], 5)), None).mean().backward()
        silent = [name for name, p in vae.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
        if combination[4] == "reconstruction":
            silent = [name for name in silent if ".prior." not in name]
        assert not silent
        return
    pytest.fail(f"{group}={choice} is refused everywhere")


LIKELIHOODS = {
    "binary": "bernoulli",
    "gray": "logistic_mixture",
    "dequantized": "beta",
    "vectors": "gaussian",
    "table": "table",
    "levels": "tiles",
    "series": "multivariate_student",
    "sound": "logistic_mixture",
    "text": "tokens",
    "pairs": "paired",
}
for name in SPACES.keys() - LIKELIHOODS.keys():  # of a new space any likelihood that scores it
    LIKELIHOODS[name] = next(each for each in CHOICES["likelihood"] if KINDS["likelihood", each].scores(SPACES[name]))


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    """The weights of a network that a perceptual penalty can look with."""
    vae, *_ = build(("gray", "gaussian", "standard_normal", "categorical", "elbo", "conv"))
    file = tmp_path_factory.mktemp("encoder") / "model.safetensors"
    save_file(vae.state_dict(), file)
    return file


def check_penalty(penalty, space, posterior, encoder, prior=None):
    """Train two steps, validate one, or see it refused: whether it trained."""
    kind = get_class(options("posterior")[posterior]["_target_"])
    objective = "elbo" if "log_prob" in kind.gives else "reconstruction"
    chosen = f"penalty={penalty}"
    if penalty == "perceptual":
        SMALL[chosen] = [f"penalty.perceptual.weights={encoder}"]
    more, network = [chosen], {"text": "gru", "pairs": "paired"}.get(space, "mlp")
    if penalty == "consistency":
        objective, more = "semi_supervised", [chosen, *LABELLED]
    try:
        parts = build((space, posterior, prior or PRIOR[kind.latent], LIKELIHOODS[space], objective, network), *more)
    except Refusal as refusal:
        assert_helps(refusal)
        return False
    training = Training(*parts, partial(torch.optim.Adam, lr=1e-3))
    optimizer = torch.optim.Adam(training.parameters(), 1e-3)
    for size in (5, 1):  # a last batch of one row too
        optimizer.zero_grad()
        terms = training.vae(examples(SPACES[space], size), training.objective.num_samples)
        losses, penalties = training._losses(terms, 0.5)
        assert list(penalties) == [penalty]
        assert penalties[penalty].shape == ()
        assert losses.shape == (size,)
        sum(training._critic_losses(terms).values(), losses.mean()).backward()
        trained = [p for p in training.parameters() if p.grad is not None]
        assert all(torch.isfinite(p.grad).all() for p in trained)
        optimizer.step()
    with torch.inference_mode():
        training._score(examples(SPACES[space], 5))
    assert math.isfinite(training.averages[penalty].compute())
    return True


@pytest.mark.parametrize("penalty", sorted(options("penalty")))
def test_each_penalty_trains_with_what_fits(penalty, encoder):
    """With every posterior, and on every kind of data."""
    choices = {(space, posterior) for posterior in CHOICES["posterior"] for space in ("binary", "gray")}
    choices |= {(space, "gaussian") for space in SPACES}
    trained = {choice for choice in sorted(choices) if check_penalty(penalty, *choice, encoder)}
    if penalty == "commitment":
        assert trained == {("binary", "vq"), ("gray", "vq")}
        return
    if penalty == "sub_sampling":
        assert trained == {("pairs", "gaussian")}
        return
    assert {("binary", "gaussian"), ("gray", "gaussian"), ("dequantized", "gaussian")} <= trained
    if penalty not in ("total_correlation", "dip", "mutual_information", "capacity", "consistency"):  # read a density
        assert ("gray", "dirac") in trained


@pytest.mark.parametrize("penalty", ["mmd", "sliced_wasserstein", "adversary"])
def test_codes_are_compared_with_any_prior(penalty):
    posteriors = POSTERIOR | {Codes: "vq"}
    for prior in CHOICES["prior"]:
        latent = get_class(options("prior")[prior]["_target_"]).latent
        assert check_penalty(penalty, "binary", posteriors[latent], None, prior), prior
