"""Distillation by f-divergence distribution matching (Xu, Nie, Vahdat 2025, arXiv:2502.15681).

May import `core`, `data` and `models`. To add a divergence, write `divergences/x.py` with one class that follows
`protocol.Divergence`; to add ground truths, `groundtruths/x.py` with one that follows `selfcheck.GroundTruth`.
Convention everywhere: r = p_teacher / p_student.
"""
