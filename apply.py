"""Use a trained VAE: `python apply.py task=sample run=outputs/latest`. `--help` lists every task."""

from vaekit.commands import apply

if __name__ == "__main__":
    apply()
