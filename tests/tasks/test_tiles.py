"""Images larger than those that the model was trained on, by patches."""

import json

import numpy as np
import PIL.Image
import pytest
import torch
from safetensors import safe_open
from torch.nn.functional import avg_pool2d

from vaekit.refusal import Refusal
from vaekit.spaces import Image
from vaekit.tasks.embed import embed
from vaekit.tasks.reconstruct import reconstruct
from vaekit.tasks.shared.context import open_run
from vaekit.tasks.shared.tiles import tiled, windows

SMALL = ("network=resnet_map", "network.channels=[4,6]", "latents=map")


@pytest.mark.parametrize(
    ("length", "tile", "overlap"), [(16, 16, 4), (37, 16, 4), (40, 16, 8), (33, 16, 0), (17, 16, 1)]
)
def test_weights_sum_to_one_and_ramp_where_windows_share(length, tile, overlap):
    total, found = torch.zeros(length), windows(length, tile, overlap)
    for start, weight in found:
        assert (weight > 0).all()
        total[start : start + tile] += weight
    torch.testing.assert_close(total, torch.ones(length))
    if len(found) > 2 and overlap:
        torch.testing.assert_close(found[1][1][:overlap], (torch.arange(overlap) + 0.5) / overlap)
        assert (found[1][1][overlap : -2 * overlap] == 1).all()


@pytest.mark.parametrize("size", [(16, 16), (40, 23), (7, 100), (17, 16)])
def test_an_identity_on_patches_restores_the_image(size):
    x = torch.rand(3, *size)
    torch.testing.assert_close(tiled(x, lambda t: t, (16, 16), (16, 16), 0.25, 3), x)
    pooled = tiled(x, lambda t: avg_pool2d(t, 4), (16, 16), (4, 4), 0.25, 3)
    assert pooled.shape == (3, -(-size[0] // 4), -(-size[1] // 4))
    whole = avg_pool2d(x[:, : size[0] // 4 * 4, : size[1] // 4 * 4], 4)
    torch.testing.assert_close(pooled[:, : whole.shape[1], : whole.shape[2]], whole)


def test_patches_are_processed_in_batches():
    seen = []
    tiled(torch.rand(1, 64, 64), lambda t: seen.append(len(t)) or t, (16, 16), (16, 16), 0.0, 6)
    assert sum(seen) == 16 and max(seen) == 6


@pytest.fixture(scope="module")
def run(untrained, tmp_path_factory):
    """A folder of images, and a run whose model has read none."""
    folder = tmp_path_factory.mktemp("photos")
    for name, (height, width) in {"large": (41, 70), "small": (16, 16), "flat": (50, 33)}.items():
        pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
        PIL.Image.fromarray(pixels).save(folder / f"{name}.png")
    PIL.Image.new("RGB", (50, 33), (90, 120, 200)).save(folder / "flat.png")
    data = ("data=image_folder", f"data.root={folder}", "data.image_size=16", "data.dequantize=true")
    return folder, untrained(*data, "likelihood=beta", space=Image((3, 16, 16), dequantized=True), small=SMALL)


@pytest.fixture
def context(run, tmp_path):
    return open_run(run[1], tmp_path, device="cpu", batch_size=4)


def pixels(path):
    with PIL.Image.open(path) as image:
        return (torch.from_numpy(np.array(image)).float() + 0.5).movedim(-1, 0) / 256


def test_the_interior_of_a_patch_is_the_output_of_the_model(run, context):
    (made,) = reconstruct(context, input=run[0] / "large.png")
    x = pixels(run[0] / "large.png")
    assert made.shape == x.shape
    for i, j in ((0, 0), (12, 24), (12, 0)):
        alone = context.vae.reconstruct(x[None, :, i : i + 16, j : j + 16])[0]
        torch.testing.assert_close(made[:, i + 4 : i + 12, j + 4 : j + 12], alone[:, 4:12, 4:12])
    assert (made[:, 12:16, :12] - alone[:, :4, :12]).abs().max() > 1e-4, "blended there"
    shown = pixels(context.out / "reconstructions" / "large.png")
    assert (shown - made.clamp(0, 1)).abs().max() < 1.01 / 256


def test_a_single_patch_equals_the_model_and_a_constant_image_has_no_seams(run, context):
    flat, _, small = reconstruct(context, input=run[0])
    torch.testing.assert_close(small, context.vae.reconstruct(pixels(run[0] / "small.png")[None])[0])
    with torch.no_grad():
        context.vae.likelihood.bias.copy_(context.vae.likelihood.bias.mean((-1, -2), keepdim=True))
        tile = context.vae.reconstruct(pixels(run[0] / "flat.png")[None, :, :16, :16])[0]
    low, high = (getattr(tile.flatten(1), end)(1) for end in ("amin", "amax"))
    bounds = (flat.flatten(1) - low[:, None] > -1e-5).all() and (flat.flatten(1) - high[:, None] < 1e-5).all()
    assert bounds, "a blend of tiles that are alike lies between their values"


def test_maps_of_images(run, context):
    flat, large, small = embed(context, input=run[0], format="npz")
    assert large.shape == (3, 11, 18) and small.shape == (3, 4, 4) and flat.shape == (3, 9, 13)
    held = np.load(context.out / "latents.npz")
    assert sorted(held.files) == ["flat.png", "large.png", "small.png"]
    torch.testing.assert_close(small, context.vae.encode(pixels(run[0] / "small.png")[None])[0][0])


def test_codes_for_a_diffusion_model(run, context):
    embed(context, input=run[0], format="safetensors")
    with safe_open(context.out / "latents.safetensors", "pt") as file:
        codes = torch.cat([file.get_tensor(name).flatten() for name in file.keys()])  # noqa: SIM118
    assert codes.std() == pytest.approx(1, abs=1e-3)
    config = json.loads((context.out / "config.json").read_text())
    assert config["block_out_channels"] == [4, 4, 6] and config["latent_channels"] == 3
    assert 2 ** (len(config["block_out_channels"]) - 1) == 16 / 4, "pixels to a place of the map"


@pytest.mark.filterwarnings("ignore")
def test_the_layout_is_that_of_diffusers(run, context):
    """Names and types as AutoencoderKL has them, which then makes codes of the shape of ours."""
    AutoencoderKL = pytest.importorskip("diffusers", reason="diffusers is not installed").AutoencoderKL
    embed(context, input=run[0] / "small.png", format="safetensors")
    config = json.loads((context.out / "config.json").read_text())
    stages = len(config["block_out_channels"])
    theirs = AutoencoderKL.from_config(
        config
        | {"norm_num_groups": 2}
        | {"down_block_types": ["DownEncoderBlock2D"] * stages, "up_block_types": ["UpDecoderBlock2D"] * stages}
    )
    assert {name: theirs.config[name] for name in config} == config
    x = torch.rand(1, config["in_channels"], config["sample_size"], config["sample_size"])
    assert theirs.encode(x).latent_dist.mean.shape == context.vae.encode(x)[0].shape


@pytest.mark.parametrize("task", [reconstruct, embed])
@pytest.mark.parametrize("overlap", [-0.1, 0.6, "half"])
def test_invalid_overlap_is_refused(run, context, task, overlap):
    with pytest.raises(Refusal, match=r"task.overlap=0.25"):
        task(context, input=run[0], overlap=overlap)


def test_a_model_without_maps_reads_images_at_the_size_of_its_training(digits, run):
    names, batches = digits.read(run[0])
    x = torch.cat([batch.x for batch in batches])
    assert torch.equal(reconstruct(digits, input=run[0]), digits.vae.reconstruct(x))
    assert (digits.out / "reconstructions.png").is_file()
    (codes,) = embed(digits, input=run[0])
    assert torch.equal(codes, digits.vae.encode(x)[0])
    assert len(np.load(digits.out / "latents.npz")["row"]) == len(names)


def test_a_table_of_codes_has_no_maps(run, context):
    with pytest.raises(Refusal, match=r"task.format=npz"):
        embed(context, input=run[0], format="csv")
