"""One file, one detector: a public class that follows `qc.protocol.Detector`; `qc.registry` finds it.

May import `core`, `models.protocol` and the `qc` files above, never another detector. To add one, copy the file nearest
to it, then run `pytest tests/conformance`.
"""
