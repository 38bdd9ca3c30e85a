"""The reviewers' web app: pages, a small JSON interface and pictures, over the protocols `ReviewStore` and `Store`.

May import `core` and what lies below `pipeline`; knows no concrete store and no tensors. To add an endpoint: a function
in the file of its noun, and one line in `app.py`; it asks for a session unless it is listed as open.
"""
