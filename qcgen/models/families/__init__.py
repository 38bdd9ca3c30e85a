"""Model families, one file each, independent of one another. May import `core` and the rest of `models`.

To add a family, write a file with a frozen dataclass that follows `models.protocol.ModelParts` and has a `name`,
`recognises(root)` and `find(root)`, and an adapter as in `models.network`; `parts.find_parts` finds it.
"""
