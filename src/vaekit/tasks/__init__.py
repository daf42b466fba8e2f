"""Uses of a trained VAE: one function per file, `task(context, ...)`, which writes into `context.out`."""
