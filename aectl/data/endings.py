"""Extensions of images that cannot be read, and of archives."""

UNREAD = (
    ".3fr", ".ai", ".apng", ".arw", ".bpg", ".cr2", ".cr3", ".dcm", ".dds", ".dng", ".emf", ".eps",
    ".exr", ".fits", ".hdr", ".heic", ".heif", ".hif", ".icns", ".ico", ".j2k", ".jls", ".jp2",
    ".jpf", ".jpx", ".jxl", ".jxr", ".nef", ".orf", ".pam", ".pcx", ".pfm", ".psb", ".psd", ".raf",
    ".rgb", ".rw2", ".sgi", ".svg", ".tga", ".wmf", ".xbm", ".xcf", ".xpm",
)  # fmt: skip
"""Extensions of image formats that are not supported."""

TARS = (
    ".tar", ".tar.gz", ".tgz", ".taz", ".tar.bz2", ".tbz2", ".tbz", ".tb2", ".tar.xz", ".txz",
    ".tar.zst", ".tar.zstd", ".tzst", ".tar.lzma", ".tlz",
)  # fmt: skip
ZIPS = (".zip", ".zipx")
OTHERS = (".tar.z", ".tar.lz4", ".tar.lz", ".tar.lzo", ".tar.br", ".7z", ".rar")
"""Extensions of archives that cannot be read; a message names them."""

ARCHIVES = TARS + ZIPS + OTHERS


def is_archive(path: str) -> bool:
    """Whether a file has the extension of an archive."""
    return path.lower().endswith(ARCHIVES)
