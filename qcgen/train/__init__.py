"""Trainings from data: the tiny CLIP, the autoencoder, the teacher.

May import `core`, `data` and `models`. To add one, write a file with a `Task` (see `loop.py`) and name it in
`pipeline/train.py`.
"""
