"""Image sets: pictures with captions and labels, read from local files.

May import `core`. To add a format, write one reader beside `imageset.py` that returns an `ImageSet`.
"""
