"""Traces: one training step as a file of named arrays, and the walk that finds where another implementation departs.

Training's code does not know that it can be traced: no hooks, no marks. The step is spelled out once more, as a list of
pieces (`pieces.py`, `scorers.py`) that are made of the same public functions, and whoever exports a trace also proves, on
that very batch, that the pieces give training's own loss to rounding (`export.py`). A hook inside the mathematics
would have yielded the same arrays, but not the inputs of each. The list has those too, so that the comparison can evaluate
any piece on the *other side's* inputs: an array that follows from a departure before it is distinguished from a second
mistake (`graph.py`), and a mistake is named by trying wrong pieces in place of right ones (`variants.py`).
"""
