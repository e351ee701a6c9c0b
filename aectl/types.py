"""The one type that every room shares."""

Shape = tuple[int, int, int]
"""(channels, height, width) of an image."""
