"""Codes as tables."""

import csv
import json
import sys
from dataclasses import replace

import numpy as np
import PIL.Image
import pytest
import torch
from safetensors import safe_open

from vaekit.refusal import Refusal
from vaekit.tasks.embed import embed
from vaekit.tasks.shared.context import open_run


def test_npz_holds_the_encoder_s_means_rows_and_labels(digits):
    digits.batch_size = 100
    (latents,) = embed(digits)
    held = np.load(digits.out / "latents.npz")
    examples = digits.test.gather(digits.test.indices)
    assert torch.allclose(latents, digits.vae.encode(digits.examples(slice(None)))[0], atol=1e-5)
    assert np.array_equal(held["z"], latents.numpy())
    assert np.array_equal(held["label"], examples.label.numpy())
    assert np.array_equal(held["row"], digits.test.indices.numpy())
    with PIL.Image.open(digits.out / "latent_map.png") as picture:
        assert np.asarray(picture).std() > 0


def test_csv_has_a_column_for_each_number(digits):
    (latents,) = embed(digits, split="val", format="csv")
    with (digits.out / "latents.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["row", "label", "z_0", "z_1", "z_2"]
    assert len(rows) == 144
    assert [[float(row[f"z_{i}"]) for i in range(3)] for row in rows] == pytest.approx(latents.numpy(), rel=1e-6)


def test_parquet(digits):
    pyarrow = pytest.importorskip("pyarrow.parquet", reason="pip install '.[embed]'")
    (latents,) = embed(digits, format="parquet")
    table = pyarrow.read_table(digits.out / "latents.parquet")
    assert table.column_names == ["row", "label", "z_0", "z_1", "z_2"]
    assert np.array_equal(table["z_1"], latents[:, 1])


def test_safetensors_hold_latents_of_standard_deviation_one(digits):
    (latents,) = embed(digits, format="safetensors")
    with safe_open(digits.out / "latents.safetensors", "pt") as held:
        z, factor = held.get_tensor("z"), float(held.metadata()["scaling_factor"])
        assert torch.equal(held.get_tensor("row"), digits.test.indices)
    assert float(z.std()) == pytest.approx(1, rel=1e-4) and float(latents.std()) != pytest.approx(1, rel=1e-2)
    assert torch.allclose(z / factor, latents, rtol=1e-4, atol=1e-5)


def test_umap(digits):
    pytest.importorskip("umap", reason="pip install '.[embed]'")
    embed(digits, projection="umap")
    assert (digits.out / "latent_map.png").is_file()


@pytest.mark.parametrize(("package", "option"), [("pyarrow", "format=parquet"), ("umap", "projection=umap")])
def test_a_missing_package_is_named_before_any_work(digits, monkeypatch, package, option):
    monkeypatch.setitem(sys.modules, package, None)
    name, _, value = option.partition("=")
    with pytest.raises(Refusal, match=rf"needs {package}, .* pip install '.\[embed\]'"):
        embed(digits, **{name: value})
    assert not list(digits.out.iterdir())


def test_latents_are_compared_with_principal_components_and_x(digits, capsys):
    embed(digits, rows=400)
    found = json.loads((digits.out / "embed.json").read_text())
    assert list(found) == ["latents", "3 principal components", "x"]
    for figures in found.values():
        assert set(figures) == {"linear_probe", "knn", "nmi", "ari"}
        assert all(-1 <= value <= 1 for value in figures.values())
    assert found["x"]["knn"] > 0.9 > found["3 principal components"]["knn"] > 0.3
    assert "400 training rows, 359 test rows" in capsys.readouterr().out


def test_a_code_equal_to_the_label_predicts_it(digits, monkeypatch):
    known = {}
    for part in ("train", "test"):
        batch = digits.data.sample(part, len(digits.data.in_order(part).indices))
        known |= {row.tobytes(): label for row, label in zip(batch.x.numpy(), batch.label, strict=True)}
    latents = torch.nn.functional.normalize(torch.randn(10, 3, generator=torch.Generator().manual_seed(0)), dim=1)
    monkeypatch.setattr(
        digits.vae, "encode", lambda x, condition: [torch.stack([latents[known[row.tobytes()]] for row in x.numpy()])]
    )
    torch.manual_seed(0)  # of the rows that are picked
    embed(digits, rows=400)
    assert min(json.loads((digits.out / "embed.json").read_text())["latents"].values()) > 0.99


def test_vectors_without_labels_have_no_quality(vectors):
    (latents,) = embed(vectors)
    assert latents.shape == (40, 3)
    assert set(np.load(vectors.out / "latents.npz").files) == {"row", "z"}
    assert not (vectors.out / "embed.json").exists()


def test_labels_of_only_one_part_are_not_evaluated(vectors, tmp_path):
    x = np.random.default_rng(1).normal(size=(60, 5)).astype("float32")
    np.savez(tmp_path / "half.npz", x_train=x, x_test=x, y_train=np.arange(60) % 3)
    vectors = replace(vectors, changes={"path": str(tmp_path / "half.npz")})
    embed(vectors, split="train")
    assert "label" in np.load(vectors.out / "latents.npz").files
    assert not (vectors.out / "embed.json").exists()


@pytest.mark.parametrize(
    ("overrides", "shapes"),
    [
        (("posterior=von_mises_fisher", "prior=sphere_uniform"), [(359, 3)]),
        (("posterior=dirac", "objective=reconstruction"), [(359, 3)]),
        (("posterior=flow",), [(359, 3)]),
        (("latents=ladder", "latents.levels=2", "latents.width=8"), [(359, 1), (359, 3)]),
    ],
)
def test_other_latent_spaces(untrained, tmp_path, overrides, shapes):
    context = open_run(untrained(*overrides), tmp_path, device="cpu")
    assert [level.shape for level in embed(context, rows=50)] == shapes
    names = ["z"] if len(shapes) == 1 else ["z_0", "z_1"]
    assert np.load(tmp_path / "latents.npz").files == ["row", "label", *names]
