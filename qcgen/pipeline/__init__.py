"""Composes the steps into runs. May import the steps, `models` and `core`; is given the store and the report writer.

A new way of executing shards is one file in `executors/` with a `work_through` of the same signature.
"""
