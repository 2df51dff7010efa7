"""The outputs of a notebook: the live view of a training, and the cards, trees and tables of the magics.

Importing this package is cheap; anywidget and matplotlib are imported by the modules that need them.
"""
