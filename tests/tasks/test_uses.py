"""Each use on real data, compared with its baseline: the commands of docs/uses.md.

Every test trains what it needs, and says for how long, on one core.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import table_measures
import table_sets
from text import DEAR

from .conftest import ROOT, train

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif("VAEKIT_DATA" not in os.environ, reason="VAEKIT_DATA does not say where real data are"),
]
TABLES = Path(os.environ.get("VAEKIT_DATA", ""), "Tabular")


def use(run, task, *words):
    """`python apply.py task=...`: the JSON files that it leaves, as one mapping."""
    command = [sys.executable, str(ROOT / "apply.py"), f"run={run}", f"task={task}", "device=cpu", *words]
    done = subprocess.run(command, env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    files = (run / "tasks" / task).glob("*.json")
    return {name: value for file in files for name, value in json.loads(file.read_text()).items()}


@pytest.fixture(scope="module")
def digits_by_conv(tmp_path_factory):
    """Twelve epochs of binarized MNIST: 4 minutes."""
    words = ("model=conv_vae", "data=mnist", "trainer.max_epochs=12", "evaluation.num_samples=5")
    return train(tmp_path_factory.mktemp("conv") / "run", *words, small=())


def raw_test_images():
    file = Path(os.environ["VAEKIT_DATA"], "MNIST/raw/t10k-images-idx3-ubyte")
    return np.frombuffer(file.read_bytes()[16:], np.uint8).reshape(-1, 1, 28, 28)


@pytest.mark.parametrize(
    "words",
    [
        ("experiment=mnist_compress",),  # 6 minutes
        ("model=mlp_vae", "data=mnist", "data.binarize=fixed", "trainer.max_epochs=5"),  # 1 minute
    ],
)
def test_files_are_smaller_than_all_others_and_near_the_bound(tmp_path, words):
    run = train(tmp_path / "run", *words, "evaluation.num_samples=5", small=())
    bits = use(run, "compress")
    assert bits["vaekit"] < min(bits[name] for name in ("xz", "bz2", "gzip", "PNG", "WebP"))
    assert bits["vaekit"] < 1.02 * bits["elbo"]
    use(run, "decompress")
    x = np.load(run / "tasks/decompress/restored.npy")
    assert x.shape == (10_000, 1, 28, 28)
    if "experiment=mnist_compress" in words:
        assert np.array_equal(x, raw_test_images())


def test_halves_of_digits_are_filled_better_than_by_scikit_learn(digits_by_conv):
    """2 minutes."""
    found = use(digits_by_conv, "impute", "task.hole=half")
    assert found["rmse/miwae"] < min(found[f"rmse/{name}"] for name in ("iterative", "neighbours", "mean"))
    assert found["nll/miwae"] < found["nll/iterative"]


def test_synthetic_digits_teach_a_classifier(digits_by_conv):
    """3 minutes."""
    found = use(digits_by_conv, "synthesize", "task.n=60000", "task.source=posterior")
    assert found["accuracy"] >= 0.97
    assert found["accuracy_real"] >= 0.985


def test_a_prior_of_codes_draws_digits(tmp_path):
    """75 minutes. docs/codes.md: .047 and .044 below real digits."""
    words = ("model=vq_vae", "data=mnist", "data.binarize=none", "likelihood=discretized_logistic")
    words += ("posterior.codes=64", "trainer.max_epochs=25", "optimizer.lr=2e-3", "optimizer/decay=cosine")
    run = train(tmp_path / "run", *words, "trainer.precision=bf16-mixed", "evaluation.num_samples=1", small=())
    fitted = tmp_path / "fitted"
    use(run, "fit_prior", "prior=autoregressive", "task.epochs=30", "task.lr=2e-3", f"task.folder={fitted}")
    found = use(fitted, "sample", "task.quality=true", "task.temperature=0.92")
    assert all(found["samples"][each] > found["real"][each] - 0.06 for each in ("precision", "recall"))


def test_exported_files_agree_with_the_module(digits_by_conv, tmp_path):
    pytest.importorskip("onnxruntime")
    from vaekit.tasks.export import export
    from vaekit.tasks.shared.context import open_run

    differences = export(open_run(digits_by_conv, tmp_path, device="cpu"))
    assert set(differences) == {"encoder.pt2", "encoder.onnx", "decoder.pt2", "decoder.onnx"}
    assert max(differences.values()) < 1e-4


def test_fashion_mnist_is_anomalous_for_digits(tmp_path):
    """3 minutes."""
    run = train(tmp_path / "run", "experiment=fashion_detect", "evaluation.num_samples=5", small=())
    found = use(run, "detect", "task.other=mnist")
    assert found["auroc/path_statistics"] >= 0.99


@pytest.mark.parametrize(
    ("name", "words"),
    [  # a minute each
        ("6_cardio", ("network.hidden=[64]", "latents.dim=4", "data.batch_size=64", "trainer.max_epochs=80")),
        ("30_satellite", ("network.hidden=[128,128]", "latents.dim=8", "data.batch_size=64", "trainer.max_epochs=60")),
        ("32_shuttle", ("network.hidden=[128,128]", "latents.dim=4", "data.batch_size=256", "trainer.max_epochs=15")),
    ],
)
def test_anomalies_in_tables_are_found_as_well_as_by_an_isolation_forest(tmp_path, name, words):
    with np.load(TABLES / "adbench" / f"{name}.npz") as held:
        order = np.random.default_rng(0).permutation(len(held["y"]))
        x, y = held["X"][order], held["y"][order].astype(int)
    normal = np.flatnonzero(y == 0)
    train_rows = normal[: int(0.6 * len(normal))]
    x = ((x - x[train_rows].mean(0)) / (x[train_rows].std(0) + 1e-6)).astype("float32")
    rest = np.setdiff1d(np.arange(len(x)), train_rows)
    file = tmp_path / "rows.npz"
    np.savez(file, x_train=x[train_rows], y_train=y[train_rows], x_test=x[rest], y_test=y[rest])
    data = ("data=arrays", f"data.path={file}", "network=mlp", "likelihood=gaussian")
    run = train(tmp_path / "run", *data, *words, small=())
    found = use(run, "detect", "task.normal=0")
    assert found["auroc/path_statistics"] >= found["auroc/isolation forest"]


def tables():
    """Columns of numbers, by name."""
    uci = TABLES / "uci"
    return {
        "banknote": np.loadtxt(uci / "data_banknote_authentication.txt", delimiter=",")[:, :4],
        "concrete": np.loadtxt(uci / "Concrete_Data.csv", delimiter=",", skiprows=1),
        "wine": np.loadtxt(uci / "winequality-red.csv", delimiter=";", skiprows=1)[:, :11],
        "yeast": np.loadtxt(uci / "yeast.data", usecols=range(1, 9)),
    }


@pytest.mark.parametrize("name", ["banknote", "concrete", "wine", "yeast"])
def test_tables_with_half_of_the_values_missing_are_filled_better_than_by_scikit_learn(tmp_path, name):
    """Half of the training values are missing, too. 2 minutes each."""
    rng = np.random.default_rng(0)
    x = tables()[name]
    x = x[rng.permutation(len(x))]
    x = ((x - x.mean(0)) / x.std(0)).astype("float32")
    seen = x[: int(0.8 * len(x))].copy()
    seen[rng.random(seen.shape) < 0.5] = np.nan
    np.savez(tmp_path / "rows.npz", x_train=seen, x_test=x[len(seen) :])
    run = train(
        tmp_path / "run", "data=arrays", f"data.path={tmp_path}/rows.npz", "likelihood=student", "objective=iwae",
        "objective.num_samples=20", "network=mlp", "network.hidden=[128,128]", "latents.dim=10", "data.batch_size=64",
        "trainer.max_epochs=300", small=(),
    )  # fmt: skip
    found = use(run, "impute", f"task.n={len(x) - len(seen)}")
    assert found["rmse/miwae"] < found["rmse/iterative"]
    assert found["nll/miwae"] < min(found["nll/iterative"], found["nll/mean"])


def test_synthetic_rows_of_adult_teach_a_classifier(tmp_path):
    """A minute."""
    table = table_sets.load(table_sets.source("adult", Path(os.environ["VAEKIT_DATA"]))[1], seed=0)
    table_sets.write(table.train, tmp_path / "train.csv")
    table_sets.write(table.test, tmp_path / "test.csv")
    data = ("model=table_vae", "data=table", f"data.path={tmp_path}/train.csv", f"data.test_path={tmp_path}/test.csv")
    given = ("data.label=income", "condition=label", "prior=gaussian")
    words = ("network.hidden=[256,256]", "data.batch_size=256", "trainer.max_epochs=20", "evaluation.num_samples=5")
    run = train(tmp_path / "run", *data, *given, *words, small=())
    use(run, "synthesize")
    rows = table_sets.read(run / "tasks/synthesize/synthetic.csv", table)
    found = table_measures.utility(table, rows)
    assert found["AUC"] > 0.88 and found["F1"] > 0.76
    pytest.importorskip("sdmetrics")
    found = table_measures.quality(table, rows)
    assert found["columns"] > 0.97 and found["pairs"] > 0.94


@pytest.mark.parametrize(
    ("width", "dropout", "above"),
    [pytest.param(256, 0.4, 0.3, id="42.73 beside 42.68"), pytest.param(32, 0.2, 0.0, id="44.59 beside 44.83")],
)
def test_sentences_depend_on_z_at_the_nll_of_a_language_model(tmp_path, width, dropout, above):
    """The table of docs/text.md: 30 minutes each."""
    files = Path(os.environ["VAEKIT_DATA"], "Text", "Multi30k_en")
    data = ("data=text", f"data.path={files}/train.en", f"data.test_path={files}/test_2016_flickr.en")
    writer = (f"likelihood.writer.width={width}", f"likelihood.writer.dropout={dropout}")
    budget = (*writer, "trainer.max_epochs=20", "trainer.precision=bf16-mixed", "evaluation.num_samples=200")
    with_z, alone = (
        train(tmp_path / name, "model=text_vae", *data, *budget, *more, small=())
        for name, more in (("text_vae", ()), ("language_model", DEAR))
    )
    found, bar = use(with_z, "evaluate"), json.loads((alone / "metrics.json").read_text())
    assert found["test/rate"] >= 5 and found["mutual_information"] >= 3 and bar["test/rate"] < 0.1
    assert found["test/nll"] <= bar["test/nll"] + above


def test_levels_of_lode_runner_can_be_played(tmp_path):
    """2 minutes."""
    path = f"data.path={os.environ['VAEKIT_DATA']}/VGLC/lode_runner"
    run = train(tmp_path / "run", "experiment=lode_runner", path, small=())
    found = use(run, "play", "task.source=posterior", "task.temperature=4", "task.tries=20")
    assert found["real"] == pytest.approx(141 / 150)
    assert found["kept"] > 0.8 and found["first"] > 0.05 > found["frequencies"]
    assert found["differs"] > 0.05


def test_levels_drawn_cell_after_cell_are_new_and_can_be_played(tmp_path):
    """3 minutes. Of 64 levels .88 could: a standard error of .04."""
    path = f"data.path={os.environ['VAEKIT_DATA']}/VGLC/lode_runner"
    words = ("likelihood=tiles_autoregressive", "data.batch_size=8", "optimizer.lr=3e-3", "trainer.max_epochs=45")
    run = train(tmp_path / "run", "experiment=lode_runner", path, *words, "evaluation.num_samples=2", small=())
    found = use(run, "play", "task.n=64", "task.tries=20")
    assert found["kept"] > 0.78 and found["differs"] > 0.3


def test_malignant_tissue_is_reconstructed_worse_than_by_principal_components(tmp_path):
    """2 minutes. 42 malignant test images: a standard error of .05."""
    path = f"data.path={os.environ['VAEKIT_DATA']}/MedMNIST/breastmnist.npz"
    run = train(tmp_path / "run", "experiment=breast_detect", path, small=())
    found = use(run, "detect")
    assert found["auroc/reconstruction"] > max(found["auroc/isolation forest"], found["auroc/PCA"])


def test_photographs_become_latents_for_a_diffusion_model(tmp_path):
    """10 minutes."""
    from safetensors import safe_open

    root = f"data.root={os.environ['VAEKIT_DATA']}/Caltech101_subset64"
    run = train(tmp_path / "run", "experiment=photographs", root, small=())
    found = use(run, "evaluate")
    assert found["psnr"] > 22 and found["ssim"] > 0.7
    use(run, "embed", "task.split=train", "task.format=safetensors", "task.rows=20")
    with safe_open(run / "tasks/embed/latents.safetensors", "pt") as held:
        assert held.get_tensor("z").shape == (234, 4, 16, 16)
        assert float(held.get_tensor("z").std()) == pytest.approx(1, rel=1e-3)
