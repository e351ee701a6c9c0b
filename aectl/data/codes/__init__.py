"""Readers of tables of codes."""
