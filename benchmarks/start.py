"""Whether presets learn to use z from the start: `python benchmarks/start.py mnist=DIR fashion_mnist=DIR faces=DIR`.

Each preset trains for `STEPS` steps with its defaults, from three seeds, on every data set that is named (the folder is
`data.root` of data=mnist, data=fashion_mnist, or for another name data=image_folder), on the sprites, and on 24,000
characters that are drawn here: glyphs of many alphabets from the fonts that matplotlib brings, turned and sheared,
28x28, dynamically binarized. Prints a Markdown table: the mean rate of the last 20 steps, in nats per example, for each
seed. `--presets` chooses others.
"""

from __future__ import annotations

import argparse
from itertools import cycle, islice
from pathlib import Path
from tempfile import TemporaryDirectory

import matplotlib
import numpy as np
import PIL.Image
import PIL.ImageDraw
import PIL.ImageFont
import torch
from fontTools.ttLib import TTFont
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate

from vaekit import commands, denormals  # noqa: F401  (commands registers the resolvers of conf/train.yaml)
from vaekit.configs import CONF
from vaekit.plan.plan import Plan

STEPS, SEEDS = 300, (1, 2, 3)
FONTS = ("DejaVuSans.ttf", "DejaVuSerif.ttf", "DejaVuSansMono.ttf", "DejaVuSans-Oblique.ttf")
# Latin, Greek, Cyrillic, Armenian, Georgian, Hebrew, Arabic, Tifinagh, Lao, Canadian syllabics, Glagolitic, Runes
ALPHABETS = [(0x41, 0x5B), (0x61, 0x7B), (0x391, 0x3CA), (0x410, 0x450), (0x531, 0x587), (0x10D0, 0x10F7)]
ALPHABETS += [(0x5D0, 0x5EB), (0x621, 0x64B), (0x2D30, 0x2D66), (0xE81, 0xEDD), (0x1401, 0x1500), (0x2C00, 0x2C2F)]
ALPHABETS += [(0x16A0, 0x16F0)]


def draw_characters(count: int = 24_000) -> np.ndarray:
    """`[count, 28, 28]`, gray."""
    folder, random = Path(matplotlib.get_data_path()) / "fonts" / "ttf", np.random.default_rng(0)
    known = {name: TTFont(folder / name).getBestCmap() for name in FONTS}
    glyphs = [(name, code) for name in FONTS for a, b in ALPHABETS for code in range(a, b) if code in known[name]]
    sizes = {(name, size): PIL.ImageFont.truetype(folder / name, size) for name in FONTS for size in range(80, 110, 5)}
    rows = np.empty((count, 28, 28), np.uint8)
    for row in rows:
        name, code = glyphs[random.integers(len(glyphs))]
        picture = PIL.Image.new("L", (112, 112))
        font = sizes[name, int(random.integers(16, 22)) * 5]
        PIL.ImageDraw.Draw(picture).text((56, 56), chr(code), font=font, fill=255, anchor="mm")
        shear, (right, down) = random.normal(0, 0.15), random.normal(0, 3, 2)
        moved = (1, shear, right - 56 * shear, 0, 1, down)
        picture = picture.rotate(random.normal(0, 8), resample=PIL.Image.Resampling.BILINEAR)
        picture = picture.transform(picture.size, PIL.Image.Transform.AFFINE, moved, PIL.Image.Resampling.BILINEAR)
        row[:] = picture.resize((28, 28), PIL.Image.Resampling.BOX)
    return rows


def rate(overrides: list[str], seed: int) -> float:
    """The mean rate of the last 20 of `STEPS` steps."""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = compose("train", overrides=overrides)
    data = instantiate(config["data"]["module"], _convert_="all")
    torch.manual_seed(seed)
    vae, objective, _ = Plan.read(config, data.space).build()
    vae.start_from(data)
    optimizer = torch.optim.Adam(vae.parameters(), config["optimizer"]["lr"], fused=True)
    batches, rates = data.train_dataloader(), []
    for step, batch in enumerate(islice(cycle(batches), STEPS)):
        terms = vae(data.transform(batch, training=True), objective.num_samples)
        optimizer.zero_grad()
        objective(terms, step / len(batches)).mean().backward()
        optimizer.step()
        rates.append(terms.rate.mean().item())
    return sum(rates[-20:]) / 20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "folders", nargs="*", help="NAME=DIR; names other than mnist and fashion_mnist are folders of images"
    )
    parser.add_argument("--presets", nargs="+", default=["mlp_vae", "conv_vae", "resnet_vae"])
    arguments = parser.parse_args()
    with TemporaryDirectory() as folder, denormals.flushed():
        np.save(f"{folder}/characters.npy", draw_characters())
        gray = ["likelihood=bernoulli", "data.binarize=dynamic", f"data.cache={folder}/cache"]
        sets = {
            "characters": ["data=arrays", f"data.path={folder}/characters.npy", *gray],
            "sprites": ["data=sprites", f"data.cache={folder}/cache"],
        }
        for name, root in (each.split("=", 1) for each in arguments.folders):
            if name in ("mnist", "fashion_mnist"):
                sets[name] = [f"data={name}", f"data.root={root}", f"data.cache={folder}/cache"]
            else:
                sets[name] = [
                    "data=image_folder",
                    f"data.root={root}",
                    "data.image_size=32",
                    f"data.cache={folder}/cache",
                ]
        print(f"| rate after {STEPS} steps | {' | '.join(sets)} |\n|{' --- |' * (len(sets) + 1)}")
        for preset in arguments.presets:
            print(f"| {preset}", end="", flush=True)
            for words in sets.values():
                rates = (f"{rate([f'model={preset}', *words], seed):.1f}" for seed in SEEDS)
                print(f" | {', '.join(rates)}", end="", flush=True)
            print(" |")


if __name__ == "__main__":
    main()
