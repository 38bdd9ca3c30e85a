"""Set metrics: one file each, found by name.

A file holds one public class that follows `protocol.SetMetric`; it may import torchmetrics, scipy and `qcgen.qc`, but
no other metric. One that needs all rows at once has `gather.Gathered` as its base. `qcgen eval` then prints its numbers
with n, seed and error, and the conformance tests run on it.
"""
