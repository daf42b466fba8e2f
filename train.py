"""Train a VAE: `python train.py model=conv_vae data=mnist`. `--help` lists every choice."""

from vaekit.commands import train

if __name__ == "__main__":
    train()
