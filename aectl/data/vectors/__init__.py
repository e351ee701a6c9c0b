"""Readers of vectors: arrays, and tables of numbers."""
