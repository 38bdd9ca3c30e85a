"""`python -m qcgen`: the program where its script is not on the path. Imports `cli` alone."""

from qcgen.cli.main import entry_point

entry_point()
