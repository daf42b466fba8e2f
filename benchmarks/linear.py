"""Linear layers by MKL and by oneDNN, forward and backward, in float32: `python benchmarks/linear.py`, seconds.

`vaekit.networks.linear` chooses between them by the processor, so that a run has the same numbers on every start.
"""

from statistics import median
from time import perf_counter

import torch
from torch.nn.functional import linear

from vaekit.denormals import flushed
from vaekit.networks.linear import OneDNN, mkl_is_slow

SHAPES = [(128, 784, 512), (128, 512, 256), (1024, 784, 512), (1024, 512, 784), (1024, 256, 512)]  # rows, in, out
ROUNDS, CALLS = 7, 20


def milliseconds(product, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> float:
    start = perf_counter()
    for _ in range(CALLS):
        product(x, weight, bias).sum().backward()
    return (perf_counter() - start) / CALLS * 1000


def main() -> None:
    chosen = "oneDNN" if mkl_is_slow() else "MKL"
    print(f"{torch.cpu.get_capabilities()['cpu_name']}, {torch.get_num_threads()} threads; vaekit takes {chosen}")
    print(f"{'rows, in, out':20}{'MKL':>8}{'oneDNN':>8}{'ratio':>8}   (ms)")
    for rows, inputs, outputs in SHAPES:
        tensors = [torch.randn(shape, requires_grad=True) for shape in ((rows, inputs), (outputs, inputs), (outputs,))]
        turns = [[milliseconds(each, *tensors) for each in (linear, OneDNN.apply)] for _ in range(ROUNDS + 1)][1:]
        mkl, onednn = (median(each) for each in zip(*turns, strict=True))
        print(f"{f'{rows}, {inputs}, {outputs}':20}{mkl:8.2f}{onednn:8.2f}{onednn / mkl:8.2f}")


if __name__ == "__main__":
    with flushed():
        main()
