"""Singling out and linking people by synthetic rows, as the package anonymeter measures them."""

from __future__ import annotations

import warnings
from importlib import import_module
from importlib.util import find_spec
from typing import Any, NamedTuple

import numpy as np

from vaekit.metrics.fidelity import Columns

PACKAGE = "anonymeter"


class Risk(NamedTuple):
    """The success of an attack on training rows beyond that of the same attack on test rows.

    Args:
        risk: From 0 to 1.
        low: Lower limit of its 95 % interval.
        high: Upper limit.
    """

    risk: float
    low: float
    high: float


def risks(train: Columns, test: Columns, synthetic: Columns, attacks: int, seed: int) -> dict[str, Risk]:
    """The risks `singling_out` and `linkability`; empty where anonymeter is not installed.

    singling_out: a condition on one column that is true for one synthetic row alone is true for one training row alone.
    linkability: the two halves of the columns of a person are found to belong together, by the synthetic rows nearest
    to each.

    Args:
        train: Columns of training rows, of numbers and categories.
        test: The same of test rows.
        synthetic: The same of synthetic rows.
        attacks: Number of attacks.
        seed: Of the choice of columns for each half.

    References:
        Matteo Giomi et al. A Unified Framework for Quantifying Privacy Risk in Synthetic Data. In PoPETs 2023.
            https://arxiv.org/abs/2211.10459

    Example:
        >>> from vaekit.tasks.shared.anonymity import risks
        >>> risks({}, {}, {}, attacks=100, seed=0)
        {}
    """
    if len(train) < 2 or find_spec(PACKAGE) is None:
        return {}
    evaluators, frame = import_module(f"{PACKAGE}.evaluators"), import_module("pandas").DataFrame
    ori, syn, control = (
        frame({name: np.where(np.isneginf(each), np.nan, each) for name, each in columns.items()})
        for columns in (train, synthetic, test)
    )
    rows: Any = {"ori": ori, "syn": syn, "control": control, "n_attacks": min(attacks, len(ori), len(control))}
    names = np.random.default_rng(seed).permutation(list(train)).tolist()
    halves = names[: len(names) // 2], names[len(names) // 2 :]
    found = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of attacks that are no better than chance
        for name, evaluator in (
            ("singling_out", evaluators.SinglingOutEvaluator(**rows)),
            ("linkability", evaluators.LinkabilityEvaluator(**rows, aux_cols=halves)),
        ):
            evaluator.evaluate(**({"mode": "univariate"} if name == "singling_out" else {"n_jobs": 1}))
            risk = evaluator.risk()
            found[name] = Risk(float(risk.value), *map(float, risk.ci))
    return found
