"""Objectives of training: losses, penalties, corruptions."""
