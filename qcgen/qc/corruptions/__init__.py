"""One file, one corruption: a public class that follows `qc.corruption.Corruption`; `qc.registry` finds it.

May import the `qc` files above, never another corruption. To add one, copy the file nearest to it, then run
`pytest tests/conformance`.
"""
