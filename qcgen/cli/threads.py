"""Torch's threads, before there is a torch: every command imports this, so it imports nothing."""

import os


def let_threads_sleep() -> None:
    """Before torch is imported: its threads soon sleep between two operators, instead of spinning on a core that the
    decoder, the database or another program needs.

    The count is libgomp's own where it knows that others wait. An OMP_WAIT_POLICY or GOMP_SPINCOUNT that is set wins.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "1000")
