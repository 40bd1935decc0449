"""Datasets that others publish: recordings with annotations, read in their own layout."""
