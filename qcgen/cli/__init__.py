"""The command line: parse, wire, print. The only layer that names concrete classes; it may import every other.

Modules here import nothing heavy at their top, so that `qcgen --help` answers at once: commands import inside their
functions.
To add a command, write it in its group's file with an example in its docstring, and name it in `main.py`.
"""
