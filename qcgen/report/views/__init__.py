"""The report's sections, one file each, found by a folder scan.

May import `core` and `report.{protocol, runview, intervals, svg, words}`; a view knows no other view. To add one,
write a file with a class that follows `protocol.View`: it gets its HTML, a CSV file per table and a place in the menu.
"""
