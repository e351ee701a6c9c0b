"""JPEG files: distinguishes damaged image data from harmless flaws elsewhere in the file.

libjpeg warns of both in the same way, continues, and reports only its first warning. If it warns,
the file is rewritten without everything that does not affect the pixels; if it still warns, the
image data are damaged. The names of the markers are those of ITU-T T.81, table B.1.
"""

import contextlib
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import simplejpeg
from numpy.typing import NDArray

from aectl.config.decoding import KEEP, Decoding
from aectl.errors import ImageError

TEM, SOI, EOI, SOS, DQT, DNL = 0x01, 0xD8, 0xD9, 0xDA, 0xDB, 0xDC
APP0, APP1, APP14, APP15, COM = 0xE0, 0xE1, 0xEE, 0xEF, 0xFE
FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
"""The markers SOFn, before the header of a frame."""

JPEG_LS = 0xF7
"""The marker before the header of a frame of JPEG-LS (ITU-T T.87), which is another format."""

SEQUENTIAL, LOSSLESS = (0xC0, 0xC1, 0xC9), (0xC3, 0xCB)
START = b"\xff\xd8"

LOSSY_BITS, LOSSLESS_BITS = (8, 12), range(2, 17)
"""The bits of a sample that libjpeg-turbo decodes; T.81 allows no others (B.2.2)."""

BITS, HEIGHT = 4, slice(5, 7)
"""Offsets of the bits per sample and of the height in the header of a frame, including the marker.
"""

MOST_DECODED = 12
"""Maximum number of times that a file with flaws is decoded to find them."""

MOST_SCANS = 500
"""Maximum number of scans of a progressive file, each of which may change all blocks."""

PREFETCHED = 8
"""Bytes after the last code that libjpeg may have read ahead, and does not report as stray."""

ZEROS, TEXT = re.compile(rb"\0+\Z"), re.compile(rb"[\0\t\n\r -~]+\Z")
STRAY_KINDS = ((ZEROS, 1, 2), (TEXT, 4, 8))
"""Stray bytes that are not entropy-coded data: their pattern, their minimum number, and the maximum
number of bytes of code before them that may match the pattern by accident."""

SCAN_END = re.compile(rb"\xff+[^\x00\xff\xd0-\xd7]")
RESTART = re.compile(rb"(\xff+[\xd0-\xd7])")
SAMPLING = (
    "is a JPEG with a chroma subsampling that cannot be checked for damage; save it with"
    " 4:2:0 or 4:4:4, or as PNG"
)
WARNED_OF_STRAY = re.compile(r"(\d+) extraneous bytes before marker 0x([0-9a-f]{2})")
WARNED_OF_END = re.compile(r"premature end of data segment|found marker 0xd9 instead of RST")


class Mended(NamedTuple):
    """A file without flaws outside its image data, which may be truncated.

    `bits`: bits per sample. The header in `content` always says 8, so that Pillow reads the other
    headers; `deep_jpeg` reads the pixels of other depths.
    """

    content: bytes
    truncated: bool
    bits: int


class _Piece(NamedTuple):
    """A segment with its marker, or, with marker 0, entropy-coded data."""

    marker: int
    content: bytes


class _Frame(NamedTuple):
    """The header of a frame; `components` are their identifiers."""

    marker: int
    bits: int
    height: int
    width: int
    components: bytes


def decode(
    content: bytes, colours: str, height: int = 1, width: int = 1, strict: bool = True
) -> NDArray[Any]:
    """The pixels, (height, width, channels), at the smallest scale n/8 that covers the sides given.

    `colours`: GRAY, RGB or CMYK. Raises ValueError; if `strict`, also for warnings of libjpeg.
    """
    if not _has_scales(content):
        height = width = 0
    decoded: NDArray[Any] = simplejpeg.decode_jpeg(
        content, colours, min_height=height, min_width=width, strict=strict
    )
    return decoded


def _has_scales(content: bytes) -> bool:
    """Whether the first frame header is surely that of a lossy file.

    libjpeg decodes a lossless file only at its full size; simplejpeg ignores that, and at a smaller
    scale libjpeg would write beyond the end of the memory for the pixels.
    """
    at = len(START)
    with contextlib.suppress(IndexError):
        while content[at] == 0xFF:
            marker = content[at + 1]
            if marker in FRAMES:
                return marker not in LOSSLESS
            if not (0xC0 <= marker <= 0xCF or DQT <= marker <= COM):
                return False
            at += 2 + (content[at + 2] << 8 | content[at + 3])
    return False


def sampling(layers: list[tuple[int, int, int, int]]) -> tuple[int, int]:
    """The factors by which an image is decoded larger than needed, across and down, for its colour.

    `layers` are those of Pillow's header: identifier, horizontal and vertical sampling factor, ...
    libjpeg reduces a component less if it has half the samples in both directions, as in 4:2:0;
    otherwise, as in 4:2:2 and 4:1:1, the colours of a reduced image would lose further samples.
    """
    _, widths, heights, *_ = zip(*layers, strict=True)
    across, down = max(widths) // max(1, min(widths)), max(heights) // max(1, min(heights))
    return (1, 1) if (across, down) == (2, 2) else (across, down)


def mended(content: bytes, decoding: Decoding) -> Mended:
    """The file without the flaws outside its image data.

    Raises ImageError if the data are damaged, or truncated and `decoding` refuses that.
    """
    pieces, ended = _split(content)
    pieces = _with_height(pieces)
    frame = _frame(pieces)
    if len(frame.components) not in (1, 3, 4):
        raise ImageError(
            f"is a JPEG of {len(frame.components)} components; those of 1 (grey), 3 (colour) and 4"
            " (CMYK) are read"
        )
    if frame.bits not in (LOSSLESS_BITS if frame.marker in LOSSLESS else LOSSY_BITS):
        raise ImageError(
            f"is a JPEG of {frame.bits} bits a sample; of 8 and 12 bits, and lossless of"
            f" {LOSSLESS_BITS[0]} to {LOSSLESS_BITS[-1]}, are read: save it as PNG or TIFF"
        )
    if frame.height * frame.width > decoding.max_pixels:
        raise ImageError(decoding.too_large)
    pieces, warning = _without_stray([*_normalised(pieces, frame)], frame)
    if warning is None and (ended or _is_complete(pieces, frame)):
        return Mended(_join(pieces), False, frame.bits)
    if warning is not None and not ended:  # space reserved for data that never came may be zeros
        *before, last = pieces
        pieces = [*before, _Piece(last.marker, last.content.rstrip(b"\0"))]
        warning = _warning(pieces, frame)
    if ended or not (warning is None or WARNED_OF_END.search(warning)):
        raise ImageError(SAMPLING if "subsampling" in (warning or "") else f"{warning}")
    if decoding.truncated != KEEP:
        raise ImageError("is truncated (--truncated keep reads it as far as it goes)")
    return Mended(_join(pieces), True, frame.bits)


def with_bits(content: bytes, bits: int) -> bytes:
    """The file with `bits` as the bits per sample in its frame headers, which state its height."""
    pieces, _ = _split(content)
    return _join([_with_bits(piece, bits) for piece in _with_height(pieces)])


def _with_bits(piece: _Piece, bits: int) -> _Piece:
    if piece.marker not in FRAMES or len(piece.content) <= BITS:
        return piece
    return _Piece(piece.marker, piece.content[:BITS] + bytes([bits]) + piece.content[BITS + 1 :])


def _with_height(pieces: list[_Piece]) -> list[_Piece]:
    """The pieces with the height in the header of the frame, also if it is stated only after the
    first scan, by the marker DNL (T.81, B.2.5), which libjpeg does not read.
    """
    heights = [piece.content[4:6] for piece in pieces if piece.marker == DNL]
    for number, (marker, content) in enumerate(pieces):
        if marker in FRAMES and heights and content[HEIGHT] == bytes(2):
            whole = content[: HEIGHT.start] + heights[0] + content[HEIGHT.stop :]
            return [*pieces[:number], _Piece(marker, whole), *pieces[number + 1 :]]
    return pieces


def _split(content: bytes) -> tuple[list[_Piece], bool]:
    """The segments and the data between them, without stray bytes; and whether the file ends with
    the marker EOI.
    """
    pieces: list[_Piece] = []
    at = 2
    while (at := content.find(b"\xff", at)) >= 0:
        while content[at : at + 1] == b"\xff":
            at += 1
        marker, at = int.from_bytes(content[at : at + 1]), at + 1
        if marker in (SOI, EOI):
            return pieces, marker == EOI
        if marker in (0, TEM) or 0xD0 <= marker <= 0xD7:
            continue
        end = at + max(2, int.from_bytes(content[at : at + 2]))
        if end > len(content):
            break
        pieces.append(_Piece(marker, b"\xff" + content[at - 1 : end]))
        at = end
        if marker == SOS:
            found = SCAN_END.search(content, at)
            at, data = (found.start() if found else len(content)), at
            for part in RESTART.split(content[data:at]):
                pieces.append(_Piece(part[-1] if RESTART.fullmatch(part) else 0, part))
    return pieces, False


def _join(pieces: list[_Piece]) -> bytes:
    return b"".join([b"\xff\xd8", *(piece.content for piece in pieces), b"\xff\xd9"])


def _frame(pieces: list[_Piece]) -> _Frame:
    """The header of the first frame. Raises ImageError if there is none, or no scan of it."""
    headers = [piece for piece in pieces if piece.marker in FRAMES]
    scans = sum(piece.marker == SOS for piece in pieces)
    if any(piece.marker == JPEG_LS for piece in pieces):
        raise ImageError("is JPEG-LS, which is not read: convert it to PNG")
    if not headers or not scans:
        raise ImageError("is truncated before its image data, or damaged")
    if scans > MOST_SCANS:
        raise ImageError(
            f"is a JPEG of more than {MOST_SCANS} scans: save it as baseline JPEG (not"
            " progressive), or as PNG"
        )
    header = headers[0].content
    if len(header) < 10 + 3 * header[9]:
        raise ImageError("is a damaged JPEG: its frame header is incomplete")
    height, width = int.from_bytes(header[HEIGHT]), int.from_bytes(header[7:9])
    if not height or not width:
        raise ImageError("is a damaged JPEG: its header says no height or no width")
    return _Frame(
        headers[0].marker, header[BITS], height, width, header[10 : 10 + 3 * header[9] : 3]
    )


def _normalised(pieces: list[_Piece], frame: _Frame) -> Iterator[_Piece]:
    """The pieces that affect the pixels or their orientation, with harmless flaws corrected.

    In a sequential scan the spectral selection has one possible value, and every version of JFIF
    means the same colours. The frame header says 8 bits per sample, because codes of all depths are
    read by the same rules (T.81, F.2.2, G.2 and H.2), and simplejpeg checks only files of 8 bits.
    """
    for piece in pieces:
        content = bytearray(piece.content)
        if piece.marker == SOS and frame.marker in SEQUENTIAL and len(content) >= 8:
            content[-3:] = 0, 63, 0
        elif piece.marker == APP0 and content[4:9] == b"JFIF\0" and len(content) >= 18:
            content[9:11] = 1, 1
        elif piece.marker == APP14 and content[4:9] == b"Adobe" and len(content) >= 16:
            pass  # libjpeg reads the meaning of the components there
        elif piece.marker == COM or (APP0 <= piece.marker <= APP15 and piece.marker != APP1):
            continue
        yield _with_bits(_Piece(piece.marker, bytes(content)), 8)


def _is_complete(pieces: list[_Piece], frame: _Frame) -> bool:
    """Whether the scans give each coefficient of each component to its last bit (T.81, G.1.1)."""
    missing = {(component, number) for component in frame.components for number in range(64)}
    for piece in pieces:
        if piece.marker == SOS and piece.content[-1] & 15 == 0:
            components = piece.content[5 : 5 + 2 * piece.content[4] : 2]
            first, last = piece.content[-3], piece.content[-2]
            band = range(first, last + 1) if frame.marker not in SEQUENTIAL else range(64)
            missing -= {(component, number) for component in components for number in band}
    return not missing or frame.marker in LOSSLESS


def _without_stray(pieces: list[_Piece], frame: _Frame) -> tuple[list[_Piece], str | None]:
    """The pieces without zeros and text after entropy-coded data; and the warning that remains.

    Bytes after the last code of a piece may be stray, or codes that libjpeg did not reach because
    damage changed the codes before them: only bytes that do not look like codes are removed.
    """
    decoded, warning = 1, _warning(pieces, frame)
    while warning and (stray := WARNED_OF_STRAY.search(warning)):
        for trimmed in _trimmed(pieces, int(stray[1]), int(stray[2], 16)):
            if decoded == MOST_DECODED:
                return pieces, warning
            decoded, now = decoded + 1, _warning(trimmed, frame)
            if now is None or WARNED_OF_STRAY.search(now):
                pieces, warning = trimmed, now
                break
        else:
            break
    return pieces, warning


def _trimmed(pieces: list[_Piece], reported: int, marker: int) -> Iterator[list[_Piece]]:
    """The pieces with one shortened by about as many bytes as were `reported` before a marker."""
    for number, piece in enumerate(pieces):
        following = pieces[number + 1].marker if number + 1 < len(pieces) else EOI
        if piece.marker or following != marker:
            continue
        for looks, least, by_accident in STRAY_KINDS:
            found = looks.search(piece.content[-reported - PREFETCHED - by_accident - 1 :])
            length = len(found[0]) if found else 0
            for stray in range(length, length - by_accident - 1, -1):
                if max(reported, least) <= stray <= reported + PREFETCHED:
                    shortened = _Piece(0, piece.content[:-stray])
                    yield [*pieces[:number], shortened, *pieces[number + 1 :]]


def _warning(pieces: list[_Piece], frame: _Frame) -> str | None:
    """The first warning of libjpeg. Lossless colours are decoded as such: it has no way to grey."""
    grey = "RGB" if len(frame.components) == 3 and frame.marker in LOSSLESS else "GRAY"
    try:
        decode(_join(pieces), "CMYK" if len(frame.components) == 4 else grey)
    except ValueError as error:
        return " ".join(str(error).split())
    return None
