"""Conditions are read by posterior, prior and likelihood, and by no other part."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from helpers import BINARY, SMALL, build, config, examples, step
from vaekit.batch import Batch
from vaekit.conditions.attributes import Attributes
from vaekit.conditions.image import Image
from vaekit.conditions.label import Label
from vaekit.data.batches import Batches
from vaekit.data.digits import Digits
from vaekit.data.module import DataModule
from vaekit.data.source import Rows
from vaekit.plan.plan import Plan
from vaekit.refusal import Refusal

MLP = ("network=mlp", *SMALL)
LABEL = (*MLP, "condition=label")
TOWERS = {
    "single": LABEL,
    "ladder": (*LABEL, "latents=ladder", "latents.width=8", "latents.levels=2"),
    "deep": ("condition=label", "network=pyramid", "network.channels=4", "latents=deep", "latents.blocks=[2x1,1x1]"),
    "labelled": ("network=mlp", "network.hidden=[16]", "condition=label", "latents=labelled", "latents.given.dim=3"),
}
BERNOULLI = "likelihood=bernoulli"


def labeled(n, space=BINARY, **options):
    return replace(examples(space, n, **options), label=torch.arange(n) % 10)


def conditional(tower, *overrides):
    """In double precision, after a step, so that nothing is at its start."""
    objective = ["objective=semi_supervised"] if tower == "labelled" else []
    vae, objective = build(BINARY, *TOWERS[tower], BERNOULLI, *objective, *overrides)
    step(vae, objective, labeled(10))
    return vae.double()


@pytest.mark.parametrize("tower", TOWERS)
def test_posterior_prior_and_likelihood_read_the_condition(tower):
    vae = conditional(tower, "prior=gaussian")
    x = examples(BINARY, 3, dtype=torch.float64).x
    with torch.no_grad():
        features = vae.encoder(x)
        first, second = (vae.infer(features, 2, condition=torch.full((3,), c)) for c in (1, 2))
        assert (first.steps[0].q.mean - second.steps[0].q.mean).abs().max() > 1e-5
        assert (first.steps[0].p.mean - second.steps[0].p.mean).abs().max() > 1e-5
        zs = [each.z for each in first.steps]
        assert (vae.decode(zs, condition=1) - vae.decode(zs, condition=2)).abs().max() > 1e-5


@pytest.mark.parametrize("tower", TOWERS)
def test_rows_keep_their_own_condition_whatever_the_draw(tower):
    vae, batch = conditional(tower), labeled(4, dtype=torch.float64)
    with torch.no_grad():
        whole = vae.infer(vae.encoder(batch.x), 3, condition=batch.label)
        for row in range(4):
            one = vae.infer(vae.encoder(batch.x[row : row + 1]), 1, condition=batch.label[row : row + 1])
            torch.testing.assert_close(one.steps[0].q.mean[0], whole.steps[0].q.mean[row])
            again = vae.replay([each.z[:, row : row + 1] for each in whole.steps], batch.label[row : row + 1])
            torch.testing.assert_close(again.state[:, 0], whole.state[:, row])


def test_one_condition_for_all_is_the_same_for_each():
    vae, x = conditional("single"), examples(BINARY, 3, dtype=torch.float64).x
    for verb in (vae.reconstruct, lambda x, condition: vae.encode(x, condition=condition)[0]):
        torch.testing.assert_close(verb(x, condition=7), verb(x, condition=torch.full((3,), 7)))
    walk = vae.interpolate(x[:1], x[1:2], 4, condition=7)
    torch.testing.assert_close(walk[:, 0], vae.reconstruct(x[:1], condition=7))
    torch.manual_seed(0)
    first = vae.log_likelihood(x, 5, condition=7)
    torch.manual_seed(0)
    torch.testing.assert_close(vae.log_likelihood(x, 5, condition=[7, 7, 7]), first)


def test_evaluation_is_of_x_given_its_label():
    vae, batch = conditional("single"), labeled(4, dtype=torch.float64)
    torch.manual_seed(0)
    of_batch = vae.log_weights(batch, 2000).logsumexp(0)
    torch.manual_seed(0)
    torch.testing.assert_close(of_batch - torch.tensor(2000.0).log(), vae.log_likelihood(batch.x, 2000, batch.label))


def test_without_a_condition_samples_are_as_frequent_as_in_training():
    condition, counts = Label(3), [6000, 3990, 10]  # one in a thousand rows is of the last class
    label = np.repeat([0, 1, 2], counts)
    rows = Batches(Rows(np.zeros((len(label), 1), np.float32), label), torch.arange(len(label)), 100)
    condition.start_from(SimpleNamespace(in_order=lambda part: rows))
    torch.manual_seed(0)
    fraction = condition.draw(2_000_000).bincount() / 2_000_000
    torch.testing.assert_close(fraction, torch.tensor(counts) / 10_000, atol=0.002, rtol=0)
    assert fraction[2].item() == pytest.approx(0.001, rel=0.1)


def test_factors_stand_side_by_side():
    condition = Label([2, 3])
    assert condition(torch.tensor([[1, 0], [0, 2]])).tolist() == [[0, 1, 1, 0, 0], [1, 0, 0, 0, 1]]
    vae, objective = build(BINARY, *LABEL, BERNOULLI, "condition.classes=[2,3]")
    batch = replace(examples(BINARY, 4), label=torch.tensor([[0, 0], [1, 2], [1, 1], [0, 2]]))
    assert torch.isfinite(step(vae, objective, batch))
    assert vae.sample(5, condition=[1, 2]).shape == (5, 1, 8, 8)


def test_attributes_are_read_as_they_are():
    vae, objective = build(BINARY, *MLP, BERNOULLI, "condition=attributes", "condition.features=2")
    batch = replace(examples(BINARY, 4), condition=torch.randn(4, 2))
    step(vae, objective, batch)
    with torch.no_grad():
        assert not torch.equal(*(vae.reconstruct(batch.x, condition=[c, 0.5]) for c in (0.0, 1.0)))
        whole = vae.reconstruct(batch.x, condition=batch.condition)
        torch.testing.assert_close(whole[:1], vae.reconstruct(batch.x[:1], condition=batch.condition[0]))


IMAGE = ("condition=image", "condition.shape=[1,8,8]", "condition.channels=[4]", "condition.features=6")


def test_another_image_is_read_through_a_network_that_learns():
    torch.manual_seed(0)
    vae, objective = build(BINARY, *MLP, BERNOULLI, *IMAGE)
    batch = replace(examples(BINARY, 4), condition=torch.rand(4, 64))
    before = {name: weight.clone() for name, weight in vae.condition.network.state_dict().items()}
    step(vae, objective, batch)
    assert all((before[name] != weight).any() for name, weight in vae.condition.network.state_dict().items())
    with torch.no_grad():
        whole = vae.reconstruct(batch.x, condition=batch.condition)
        torch.testing.assert_close(whole[:1], vae.reconstruct(batch.x[:1], condition=batch.condition[:1]))
        assert (whole - vae.reconstruct(batch.x, condition=batch.condition.flip(0))).abs().max() > 1e-4
    assert vae.sample(3, condition=batch.condition[0]).shape == (3, 1, 8, 8)


@pytest.mark.long
def test_an_image_as_condition_lowers_the_distortion():
    """x is its condition upside down: given it, little is left to be said."""
    torch.manual_seed(0)
    space, noise = replace(BINARY, shape=(1, 4, 4)), (torch.rand(512, 16) < 0.5).float()
    batch = Batch(noise.reshape(-1, 1, 4, 4).flip(2), condition=noise)
    shaped = ("condition=image", "condition.shape=[1,4,4]", "condition.channels=[32]")
    distortion = []
    for words in (shaped, ()):
        vae, objective = build(space, "network=mlp", "network.hidden=[64]", "latents.dim=2", BERNOULLI, *words)
        optimizer = torch.optim.Adam(vae.parameters(), 0.01)
        for _ in range(150):
            optimizer.zero_grad()
            objective(vae(batch, 1), 0.0).mean().backward()
            optimizer.step()
        distortion.append(vae(batch, 1).distortion.mean().item())
    assert distortion[0] < 0.3 * distortion[1]


def rows(**columns):
    return SimpleNamespace(in_order=lambda part: SimpleNamespace(**{"label": None, "condition": None, **columns}))


@pytest.mark.parametrize(
    ("condition", "data", "fix"),
    [
        (Label(10), rows(indices=torch.arange(3)), "'~condition'"),
        (Label(10), rows(label=torch.tensor([0, 1, 12]), indices=torch.arange(3)), "condition.classes=13"),
        (
            Label(10),
            rows(label=torch.tensor([0, 1, -1]), indices=torch.arange(3)),
            r"missing one.*model=m2_vae.*or drop those rows\.$",
        ),
        (Label(10), rows(label=torch.tensor([[0, 5], [1, 3]]), indices=torch.arange(2)), r"condition.classes=\[2,6\]"),
        (
            Image([1, 2, 2], [3]),
            rows(condition=torch.randn(4, 3), indices=torch.arange(4)),
            "of its 3 values",
        ),
        (Attributes(2), rows(condition=torch.randn(4, 3), indices=torch.arange(4)), "condition.features=3"),
        (Attributes(2), rows(condition=torch.full((4, 2), torch.nan), indices=torch.arange(4)), "NaN"),
    ],
)
def test_data_that_a_condition_cannot_read_are_refused(condition, data, fix):
    with pytest.raises(Refusal, match=fix):
        condition.start_from(data)


REFUSED = {
    "prior=vamp": "prior=gaussian",
    "prior=exemplar": "prior=gaussian",
    "posterior=hamiltonian": "posterior=gaussian",
    "condition.classes=null": "condition.classes=10",
    "condition.classes=null latents=labelled": "How many classes",
    "condition.classes=0": "condition.classes=10",
    "condition=image": "condition.shape=",
    "latents=labelled objective=elbo": "objective=semi_supervised",
    "latents=labelled condition.classes=[2,3] latents.classifier.codes=5 objective=semi_supervised": "condition=label",
    "objective=semi_supervised": "model=m2_vae",
    "penalty=consistency": "model=m2_vae",
}


@pytest.mark.parametrize("choices", REFUSED)
def test_invalid_settings_are_refused_with_valid_ones(choices):
    with pytest.raises(Refusal, match=REFUSED[choices]):
        Plan.read(config("network=mlp", "condition=label", BERNOULLI, *choices.split()), BINARY).build()


def test_a_class_level_requires_a_condition():
    with pytest.raises(Refusal, match="condition=label"):
        Plan.read(config("latents=labelled", "latents.classifier.codes=10", BERNOULLI), BINARY).build()


def test_vae_methods_refuse_invalid_arguments():
    plain, vae, x = build(BINARY, *MLP, BERNOULLI)[0], conditional("single"), examples(BINARY, 3, dtype=torch.float64).x
    for verb in (vae.reconstruct, vae.encode, lambda x: vae.vary(x, 2), vae.log_likelihood):
        with pytest.raises(Refusal, match="condition=7"):
            verb(x)
    with pytest.raises(Refusal, match=r"task\.label=7"):  # of an example in a file
        vae.encode(x)
    with pytest.raises(Refusal, match="condition=label"):
        plain.sample(2, condition=7)
    for wrong in (10, -1, [1, 2, 30]):
        with pytest.raises(Refusal, match="0 to 9"):
            vae.sample(3, condition=wrong)
    with pytest.raises(Refusal, match=r"shape \[2\].*give one, as in task.label=\d"):
        vae.sample(3, condition=[1, 2])


@pytest.mark.long
def test_samples_of_a_class_look_like_it():
    """A classifier of real digits finds the class that was asked for."""
    torch.manual_seed(0)
    chosen = config("model=cvae", "network=mlp", "network.hidden=[128]", "latents.dim=8", "data=digits")
    data = DataModule(Digits(), batch_size=64)
    vae, objective, _ = Plan.read(chosen, data.space).build()
    vae.start_from(data)
    optimizer = torch.optim.Adam(vae.parameters(), 3e-3)
    for _ in range(15):
        for batch in data.train_dataloader():
            optimizer.zero_grad()
            objective(vae(data.transform(batch, training=True)), None).mean().backward()
            optimizer.step()
    train, test = (data.sample(part, 2000) for part in ("train", "test"))
    classifier = LogisticRegression(max_iter=1000).fit(train.x.flatten(1), train.label)
    assert classifier.score(test.x.flatten(1), test.label) > 0.9
    label = torch.arange(10).repeat_interleave(30)
    assert classifier.score(vae.sample(300, condition=label).flatten(1), label) > 0.8
    assert len(set(classifier.predict(vae.sample(300).flatten(1)))) == 10
