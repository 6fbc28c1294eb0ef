"""Calibration: a scorecard fitted to outcomes, the proof on decisions it wasn't fitted to, and what may be said of it.

log-odds of staying = constant + sum of monotone piecewise-linear curves, one per measure. A scorecard document is just
that: with the range of a curve as its measure's weight, the score is an affine map of the log-odds.
"""
