"""Converts CMYK to RGB, and lays transparent colours over white; all channels have 8 bits."""

import numpy as np
from numpy.typing import NDArray

Channels = NDArray[np.uint8]


def rgb(ink: Channels) -> Channels:
    """Cyan, magenta, yellow and black, (rows, columns, 4), as RGB, (rows, columns, 3).

    Each colour is (255 - ink) * (255 - black) / 255, as in Pillow.
    """
    light = 255 - ink.astype(np.uint32)
    seen: Channels = ((light[..., :3] * light[..., 3:] + 127) // 255).astype(np.uint8)
    return seen


def over_white(colour: Channels, alpha: Channels, associated: bool = False) -> Channels:
    """Colours, (rows, columns, channels), laid over white by their alpha, (rows, columns, 1).

    Associated colours are already multiplied by alpha (Porter & Duff 1984, section 4.1).
    """
    wide, opacity = colour.astype(np.uint32), alpha.astype(np.uint32)
    if associated:
        laid = np.minimum(wide + (255 - opacity), 255)
    else:
        laid = (wide * opacity + 255 * (255 - opacity) + 127) // 255
    seen: Channels = laid.astype(np.uint8)
    return seen
