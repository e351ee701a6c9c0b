"""Encodings of text other than UTF-8, by the bytes of the text, and how to convert from them."""

import codecs

UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
UTF_32 = (codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)
"""Byte-order marks. Those of UTF-32 are tested first, because one starts with one of UTF-16."""

ZERO, ZERO_IN_LINES = 0.5, 0.2
"""Minimum fraction of characters whose upper bytes are zero, as in ASCII; and the same where there
is an end of a line of as many bytes, as in a list of paths in another script."""

LOOKS = {"latin1": "Latin-1", "cp1252": "Windows-1252"}
"""Encodings returned by `narrow`, in words."""

CONTROLS = range(0x80, 0xA0)
"""Bytes that are letters and signs in Windows-1252, and control characters in Latin-1."""


def wide(start: bytes) -> str | None:
    """The encoding, as iconv names it, of text with 2 or 4 bytes per character; None if another.

    `start`: its first bytes. Without a byte-order mark, most characters must be ASCII.
    """
    if start.startswith(UTF_32):
        return "utf-32"
    if start.startswith(UTF_16):
        return "utf-16"
    for width in (4, 2):
        characters = len(start) // width
        if not characters:
            continue
        places = [start[place : characters * width : width] for place in range(width)]
        least = ZERO_IN_LINES if _has_line_ends(start, width) else ZERO
        zero = [place.count(0) > least * characters for place in places]
        if zero[0] != zero[-1] and zero.count(True) == width - 1:
            return f"utf-{8 * width}{'le' if zero[-1] else 'be'}"
    return None


def _has_line_ends(text: bytes, width: int) -> bool:
    """Whether at least half of the line feeds are characters of `width` bytes."""
    characters = [text[at : at + width] for at in range(0, len(text), width)]
    ends = (b"\n".ljust(width, b"\0"), b"\n".rjust(width, b"\0"))
    return 0 < text.count(b"\n") <= 2 * sum(map(characters.count, ends))


def name_of(encoding: str) -> str:
    """An encoding returned by `wide`, in words."""
    name = encoding[:6].upper()
    return name if encoding == name.lower() else f"{name} without a byte-order mark"


def narrow(line: bytes) -> str | None:
    """The probable encoding, as iconv names it, of a line that is not UTF-8; None if unknown.

    Latin-1 or Windows-1252, if most letters are ASCII, as in the languages that use them, and no
    characters of the line are UTF-8.
    """
    beyond = [byte for byte in line if byte >= 0x80]
    letters = sum(chr(byte).isalpha() for byte in line if byte < 0x80)
    if len(beyond) > letters or not line.decode("utf-8", "ignore").isascii():
        return None
    return "cp1252" if any(byte in CONTROLS for byte in beyond) else "latin1"


def conversion(encoding: str, file: str = "") -> str:
    """A hint how to convert a file, whose name is quoted for a shell, to UTF-8."""
    return f"convert it with iconv -f {encoding} -t utf-8{file and ' '}{file}"


def way_to_utf_8(line: bytes, file: str = "") -> str:
    """A hint how to convert a file, of which a line is not UTF-8."""
    encoding = narrow(line)
    if encoding is None:
        return f"if all of it is in another encoding, {conversion('ENCODING', file)}"
    return f"it looks like {LOOKS[encoding]}: {conversion(encoding, file)}"
