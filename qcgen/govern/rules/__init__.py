"""One rule a file: a class with `name` and `check(job, card) -> list[Finding]`; imports `core`, `govern.families`."""
