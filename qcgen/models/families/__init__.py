"""Model families, one file each, independent of one another. May import `core` and `models.protocol`.

To add a family, write a file that loads a local folder and gives a `Student` or a `Teacher`.
"""
