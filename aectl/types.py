"""What every room shares."""

Shape = tuple[int, int, int]
"""(channels, height, width) of an image."""

PAD, START, END = 0, 1, 2
"""The tokens that stand for no text: what fills a row up, what comes before a text, and after."""

SPECIAL = 3
"""How many tokens those are; the numbers of all others begin here."""
