"""Models that other programs trained, read as models of aectl: `recognition` tells their formats.

A reader takes nothing from a file but numbers and the fields of a config. It expresses exactly all
that changes the code or the reconstruction, and refuses the rest by name.
"""
