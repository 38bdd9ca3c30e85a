"""From items to files: noise, batches, encoding, writing. May import `models` and `core`, no other step.

A new image format is one entry in `encode.FORMATS`.
"""
