"""Learning rates over the steps of a training."""

import pytest
import torch

from vaekit.training import decay

DECAYS = {
    "constant": decay.constant,
    "cosine": decay.cosine,
    "step": lambda *parameters: decay.step(*parameters, epochs=[50]),
    "plateau": decay.plateau,
}


@pytest.mark.parametrize("name", DECAYS)
def test_the_rate_rises_linearly_in_the_steps_of_the_warm_up(name):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    warmup, rates = 4, []
    schedule = DECAYS[name](optimizer, warmup, 10**9, 10)[0]["scheduler"]
    for _ in range(warmup + 2):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    assert rates == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0, 1.0])
