"""Licences, rights and marks. May import `core` only, and Pillow to read files; no torch, no store.

A new licence is a row in `licences.json`; a new rule is one file in `rules/` with a class as in `protocol.py`.
"""
