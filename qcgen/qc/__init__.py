"""Quality control: detectors, calibration, policy, verdicts. Values in, values out; touches neither store nor files.

May import `core` and `models`. To add a detector, write `detectors/x.py` with one class that follows
`protocol.Detector`.
"""
