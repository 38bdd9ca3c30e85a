"""Networks: loading, saving and calling them. May import `core` and torch, diffusers, transformers, open_clip."""
