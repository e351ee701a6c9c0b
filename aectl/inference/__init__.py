"""Trained networks applied to batches, and metrics of the results."""
