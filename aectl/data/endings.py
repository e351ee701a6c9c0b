"""Extensions of images that cannot be read, and of archives."""

UNREAD = (
    ".3fr", ".ai", ".arw", ".bpg", ".cin", ".cr2", ".cr3", ".cur", ".dcm", ".dcr", ".dds", ".dicom",
    ".dng", ".dpx", ".emf", ".eps", ".erf", ".exr", ".fits", ".hdr", ".heic", ".heics", ".heif",
    ".heifs", ".hif", ".icns", ".ico", ".iiq", ".j2c", ".j2k", ".jls", ".jng", ".jp2", ".jpc",
    ".jpf", ".jpm", ".jpx", ".jxl", ".jxr", ".kdc", ".mng", ".mrw", ".nef", ".nrw", ".orf", ".pam",
    ".pct", ".pcx", ".pef", ".pfm", ".pict", ".psb", ".psd", ".qoi", ".raf", ".ras", ".rgb", ".rw2",
    ".rwl", ".sgi", ".sr2", ".srf", ".srw", ".svg", ".svgz", ".tga", ".wbmp", ".wmf", ".x3f",
    ".xbm", ".xcf", ".xpm", ".xwd",
)  # fmt: skip
"""Extensions of image formats that are not supported."""

TARS = (
    ".tar", ".tar.gz", ".tgz", ".taz", ".tar.bz2", ".tbz2", ".tbz", ".tb2", ".tar.xz", ".txz",
    ".tar.zst", ".tar.zstd", ".tzst", ".tar.lzma", ".tlz",
)  # fmt: skip
ZIPS = (".zip", ".zipx")
OTHERS = (".tar.z", ".tar.lz4", ".tar.lz", ".tar.lzo", ".tar.br", ".7z", ".rar")
"""Extensions of archives that cannot be read; a message names them."""

PARQUET = ".parquet"

ARCHIVES = TARS + ZIPS + OTHERS


def is_archive(path: str) -> bool:
    """Whether a file has the extension of an archive."""
    return path.lower().endswith(ARCHIVES)
