"""One rule a file: a class with `name` and `check(work, card) -> list[Finding]`; imports `core`, `govern.families`."""
