"""What a trained VAE is for: a plain function a file, `task(context, ...)`, which writes into `context.out`."""
