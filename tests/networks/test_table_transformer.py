"""One token per column: shapes, independent rows, missing cells, and training."""

import pytest
import torch

from helpers import TABLE, build, examples, step
from vaekit.networks.table_transformer import Decoder, Encoder
from vaekit.refusal import Refusal, located

SIZES = {"width": 8, "blocks": 2, "heads": 2}
NAMES = [column.name for column in TABLE.ordered]


@pytest.fixture
def encoder():
    torch.manual_seed(0)
    return Encoder(TABLE, **SIZES).double()


def test_shapes_follow_from_the_table(encoder):
    assert encoder(examples(TABLE, 3, dtype=torch.float64).x).shape == (3, *encoder.out_shape) == (3, 8)
    assert Decoder((5,), TABLE, 2, **SIZES)(torch.randn(3, 5)).shape == (3, 2, *TABLE.shape)


def test_rows_do_not_see_each_other(encoder):
    x = examples(TABLE, 5, dtype=torch.float64).x
    torch.testing.assert_close(torch.cat([encoder(row[None]) for row in x]), encoder(x))
    decoder, z = Decoder((5,), TABLE, 1, **SIZES).double(), torch.randn(5, 5, dtype=torch.float64)
    torch.testing.assert_close(torch.cat([decoder(row[None]) for row in z]), decoder(z))


def test_the_encoder_reads_every_column(encoder):
    x = examples(TABLE, 1, dtype=torch.float64).x.requires_grad_()
    encoder(x).square().sum().backward()
    for name, part in zip(NAMES, x.grad.split([c.width for c in TABLE.ordered], 1), strict=True):
        assert (part != 0).all(), name


def test_parameters_of_a_column_depend_on_all_tokens_through_its_own():
    torch.manual_seed(0)
    decoder = Decoder((5,), TABLE, 1, **SIZES)
    made = decoder(torch.randn(1, 5))[0, 0]
    with torch.no_grad():
        decoder.head[:, 0] = 0
    assert decoder(torch.randn(1, 5))[0, 0, 0] == 0 != made[0]


def test_every_weight_learns():
    vae, objective = build(
        TABLE, "network=table_transformer", "likelihood=table", *(f"network.{k}={v}" for k, v in SIZES.items())
    )
    batch = examples(TABLE, 6)
    town = NAMES.index("town")
    observed = torch.ones(6, len(NAMES))
    observed[0, town] = 0
    batch.mask = TABLE.per_value(observed)
    batch.x = batch.x * batch.mask
    objective(vae(batch, 1), None).mean().backward()
    # a key's bias adds the same at all positions; only missing tokens that occurred have a gradient
    silent = [name for name, p in vae.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert not silent
    learned = vae.encoder.missing_token.grad.abs().sum(1)
    assert learned[town] > 0 and (learned[[i for i in range(len(NAMES)) if i != town]] == 0).all()


def test_a_missing_category_is_the_learned_token_and_nothing_else(encoder):
    x = examples(TABLE, 4, dtype=torch.float64).x
    town = TABLE.per_value(torch.tensor([name == "town" for name in NAMES]))
    masked = torch.where(town, 0.0, x)
    seen = encoder(masked)
    with torch.no_grad():
        encoder.embed[town] += torch.randn(8)
        encoder.bias[NAMES.index("town")] += torch.randn(8)
    torch.testing.assert_close(encoder(masked), seen)
    assert (encoder(x) - seen).abs().max() > 1e-3
    with torch.no_grad():
        encoder.missing_token[NAMES.index("town")] += torch.randn(8)
    assert (encoder(masked) - seen).abs().max() > 1e-3


@pytest.mark.long
def test_the_model_trains():
    small = ("network.width=16", "latents.dim=3", "network.blocks=1", "network.heads=2")
    vae, objective = build(TABLE, "network=table_transformer", "likelihood=table", *small)
    batch = examples(TABLE, 64)
    losses = [step(vae, objective, batch, lr=0.03) for _ in range(60)]
    assert sum(losses[-5:]) < 0.9 * sum(losses[:5])


@pytest.mark.parametrize(("wrong", "fix"), [({"heads": 3}, "network.heads=1"), ({"blocks": 0}, "network.blocks=4")])
def test_sizes_that_do_not_fit_are_refused(wrong, fix):
    with located("network"), pytest.raises(Refusal, match=fix):
        Encoder(TABLE, **(SIZES | wrong))
