"""Lossless coding: bits-back through a VAE, by the entropy coder of the `constriction` library."""
