"""The figures: one module for each way to draw (`Figure.draw`), and one style for all.

A module has a function `draw(view)`. It returns a figure of matplotlib, and the numbers that are
drawn as a data frame: results/<figure>.csv.
"""
