"""Reports: one pass over a run's rows -> a frozen view model -> HTML, a picture grid, CSV and JSON in one folder.

May import `core`; no tensors, no store, no network. To add a section, write `views/x.py` with one class that follows
`protocol.View`.
"""
