"""One file per revision, rNNNN_what.py; the highest number is `schema.HEAD`."""
