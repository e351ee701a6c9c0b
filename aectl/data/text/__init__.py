"""Readers of text."""
