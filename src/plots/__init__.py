"""Plots of skeletons, curves and confusion matrices, independent of runs."""
