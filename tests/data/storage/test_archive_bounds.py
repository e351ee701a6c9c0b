"""Archives that expand to far more than they are, or say so: refused in a line, at little cost."""

import bz2
import gzip
import lzma
import os
import struct
import sys
import tarfile
import tracemalloc
import zipfile
import zlib
from functools import cache, partial

import numpy as np
import pytest
from packing import LOCAL, Entry, stored, zip_of

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

from aectl.data.storage import expansion
from aectl.data.storage.archives import find_in_archive

MIB = 1 << 20
ZSTANDARD = 93
SOUND = np.random.default_rng(0).bytes(700)
COMPRESS = {
    "bzip2": partial(bz2.compress, compresslevel=1),
    "xz": partial(lzma.compress, preset=0),
    "gzip": gzip.compress,
    "zstd": zstd.compress,
    "plain": bytes,
}

WAY_OUT = ": unpack it, and name the file itself"


def header(name, size, kind=tarfile.REGTYPE, **options):
    info = tarfile.TarInfo(name)
    info.size, info.type = size, kind
    for key, value in options.items():
        setattr(info, key, value)
    return info.tobuf(tarfile.GNU_FORMAT)


def member(name, content, kind=tarfile.REGTYPE):
    return header(name, len(content), kind) + content + bytes(-len(content) % 512)


END = bytes(1024)
A, B = member("a.png", SOUND), member("b.png", SOUND)


def read(path):
    return [
        (one.path.removeprefix(f"{path}").removeprefix("/"), one.content or one.reason)
        for one in find_in_archive(str(path))
    ]


@pytest.fixture
def memory():
    """Gives the most memory in MiB that Python has held since the start of the test."""
    tracemalloc.start()
    yield lambda: tracemalloc.get_traced_memory()[1] / MIB
    tracemalloc.stop()


@pytest.mark.parametrize("compress", COMPRESS.values(), ids=COMPRESS)
@pytest.mark.parametrize("kind", [b"x", b"g", b"L", b"K"])
def test_a_header_of_more_than_a_mebibyte_is_refused(tmp_path, compress, kind, memory):
    packed = compress(A + member("header", bytes(12 * MIB), kind) + B + END)
    (tmp_path / "set.tar").write_bytes(packed)
    del packed
    tracemalloc.reset_peak()
    first, (name, told) = read(tmp_path / "set.tar")
    assert first == ("a.png", SOUND)
    assert name == ""
    assert "has a header of more than 1,048,576 bytes" in told
    assert memory() < 9


@cache
def _zeros(compress):
    return compress(bytes(32 * MIB))


def zeros(compress, mebibytes):
    """So many MiB of zeros in compressed members of 32 MiB, each compressed once."""
    return _zeros(compress) * (mebibytes // 32)


@pytest.mark.parametrize("kind", ["bzip2", "zstd"])
def test_gigabytes_to_skip_are_not_skipped(tmp_path, kind):
    compress = COMPRESS[kind]
    skipped = header("movie.mkv", 3 << 30)
    packed = compress(A + skipped) + zeros(compress, 3072) + compress(B + END)
    (tmp_path / "set.tar").write_bytes(packed)
    first, (name, told) = read(tmp_path / "set.tar")
    assert first == ("a.png", SOUND)
    assert name == ""
    assert "expands to more than 128 MiB and 100 times its size" in told


@pytest.mark.parametrize("kind", ["xz", "zstd"])
def test_gigabytes_of_images_from_kilobytes_are_refused(tmp_path, kind):
    compress = COMPRESS[kind]
    one = compress(header("zeros.png", 64 * MIB)) + zeros(compress, 64)
    (tmp_path / "set.tar").write_bytes(compress(A) + one * 20 + compress(END))
    first, *images, (name, told) = read(tmp_path / "set.tar")
    assert first == ("a.png", SOUND)
    assert [name for name, _ in images] == ["zeros.png"] * len(images)
    assert 1 <= len(images) < 5
    assert name == ""
    assert "expands to more than 128 MiB and 1,000 times its size" in told


@pytest.mark.parametrize("kind", ["zstd", "gzip"])
def test_zeros_behind_the_end_are_bounded(tmp_path, kind):
    compress = COMPRESS[kind]
    (tmp_path / "set.tar").write_bytes(compress(A + END) + zeros(compress, 96))
    first, (name, told) = read(tmp_path / "set.tar")
    assert first == ("a.png", SOUND)
    assert name == ""
    assert "bytes of zeros" in told


def test_an_endless_plain_tar_of_zeros_is_not_read_to_its_end(tmp_path):
    (tmp_path / "set.tar").write_bytes(A + END)
    os.truncate(tmp_path / "set.tar", 1 << 42)  # a hole, which takes no room on the disk
    first, (_, told) = read(tmp_path / "set.tar")
    assert first == ("a.png", SOUND)
    assert "bytes of zeros" in told


@pytest.mark.parametrize("compress", [bytes, gzip.compress], ids=["plain", "gzip"])
@pytest.mark.parametrize("size", [10**20, 1 << 62, 1 << 33])
@pytest.mark.parametrize("name", ["a.dat", "a.png"])
def test_a_member_that_claims_more_than_the_tar_has_ends_it(tmp_path, name, size, compress):
    (tmp_path / "set.tar").write_bytes(compress(A + header(name, size)))
    first, *large, (path, told) = read(tmp_path / "set.tar")
    assert first == ("a.png", SOUND)
    assert large == (
        [] if name == "a.dat" else [("a.png", f"has more than 134,217,728 bytes{WAY_OUT}")]
    )
    assert path == ""
    assert "is cut short" in told


def test_a_member_of_64_mib_in_10_kb_of_xz_is_read(tmp_path):
    """What a piece of it expands to is not copied for each block."""
    (tmp_path / "set.tar.xz").write_bytes(
        lzma.compress(member("a.png", bytes(64 * MIB)) + A + END, preset=0)
    )
    assert os.path.getsize(tmp_path / "set.tar.xz") < 20_000
    first, second = read(tmp_path / "set.tar.xz")
    assert first == ("a.png", bytes(64 * MIB))
    assert second == ("a.png", SOUND)


@pytest.mark.parametrize("ratio", [50, 900])
def test_images_that_compress_well_are_read_by_the_gigabyte(tmp_path, ratio):
    """As many bitmaps as make more than the allowance."""
    noise = np.random.default_rng(0).bytes(8 * MIB // ratio)
    bitmap = noise + bytes(8 * MIB - len(noise))
    packed = zlib.compressobj(6, wbits=31)
    one = packed.compress(member("a.bmp", bitmap)) + packed.flush()
    count = 2 * expansion.ALLOWANCE // len(bitmap)
    (tmp_path / "set.tar.gz").write_bytes(one * count + gzip.compress(END))
    found = [found.content == bitmap for found in find_in_archive(str(tmp_path / "set.tar.gz"))]
    assert found == [True] * count


WANTS_MEMORY = "): unpack it"


def test_a_window_of_gigabytes_is_refused(tmp_path):
    """RFC 8878, 3.1.1: a frame with a window of 2^(10 + 20) bytes and a block as it is."""
    block = (len(A + END) << 3 | 1).to_bytes(3, "little") + A + END
    (tmp_path / "set.tar.zst").write_bytes(b"\x28\xb5\x2f\xfd\0" + bytes([20 << 3]) + block)
    assert read(tmp_path / "set.tar.zst")[0][1].endswith(WANTS_MEMORY)


def test_a_dictionary_of_gigabytes_is_refused(tmp_path):
    filters = [{"id": lzma.FILTER_LZMA2, "dict_size": 1 << 30}]
    data = lzma.compress(A + END, filters=[{"id": lzma.FILTER_LZMA2, "dict_size": 1 << 20}])
    # The size of the dictionary is a byte of the block's header (.xz File Format, 5.3.1).
    block = bytearray(data[12:24])
    assert block[2:5] == b"\x21\x01\x10"
    block[4] = 36  # 1 GiB
    block[8:12] = struct.pack("<I", zlib.crc32(block[:8]))
    assert filters[0]["dict_size"] == 1 << (12 + block[4] // 2)
    (tmp_path / "set.tar").write_bytes(data[:12] + block + data[24:])
    ((name, told),) = read(tmp_path / "set.tar")
    assert name == ""
    assert told.endswith(WANTS_MEMORY)


def pax(**records):
    data = b""
    for key, value in records.items():
        body = b" " + key.replace("_", ".").encode() + b"=" + value + b"\n"
        length = len(body) + 1
        while length != len(b"%d" % length) + len(body):
            length = len(b"%d" % length) + len(body)
        data += b"%d" % length + body
    return member("pax", data, tarfile.XHDTYPE)


ODD = {
    "a name of a mebibyte": pax(path=b"n" * 999_000 + b".png") + member("x", SOUND),
    "a size of many digits": pax(size=b"9" * 5000) + B,
    "a negative size": header("b.png", -5) + bytes(512),
    "records that are none": member("pax", b"0" * 500_000, tarfile.XHDTYPE) + B,
    "a record without a length": member("pax", b"path=" + b"n" * 99, tarfile.XHDTYPE) + B,
    "a record that begins with a space": member("pax", b" path=b.png\n", tarfile.XHDTYPE) + B,
    "a record that ends nowhere": member("pax", b"99999 path=b.png\n", tarfile.XHDTYPE) + B,
    "a record of no length": member("pax", b"0 path=b.png\n", tarfile.XHDTYPE) + B,
    "thousands of long names": member("L", b"n.png\0", b"L") * 5000 + B,
    "a sparse file of no bytes": pax(GNU_sparse_major=b"1", GNU_sparse_realsize=b"9" * 19)
    + member("b.png", b"0\n" + bytes(510)),
    "a sparse file whose pieces lie outside": pax(
        GNU_sparse_map=b"999999999,3", GNU_sparse_size=b"9"
    )
    + member("b.png", b"abc"),
    "a sparse file with more pieces than bytes": pax(
        GNU_sparse_map=b"0,9" + b",0,9" * 99, GNU_sparse_size=b"9"
    )
    + member("b.png", b"abc"),
}  # fmt: skip


@pytest.mark.parametrize("odd", ODD.values(), ids=ODD)
def test_odd_headers_cost_a_line_and_nothing_that_stands_before(tmp_path, odd):
    (tmp_path / "set.tar").write_bytes(A + odd + END)
    first, *others = read(tmp_path / "set.tar")
    assert first == ("a.png", SOUND)
    assert len(others) == 1
    if odd is not ODD["thousands of long names"]:
        ((_, told),) = others
        assert isinstance(told, str)
        assert "Error" not in told


@cache
def packed(method, mebibytes):
    """Zeros as a method of zip compresses them (APPNOTE.TXT, 4.4.5; LZMA: 5.8.8)."""
    content = bytes(mebibytes * MIB)
    if method == zipfile.ZIP_LZMA:
        chain = [{"id": lzma.FILTER_LZMA1, "preset": 0, "dict_size": 1 << 16}]
        properties = struct.pack("<BBHBI", 9, 4, 5, 93, 1 << 16)
        return properties + lzma.compress(content, lzma.FORMAT_RAW, filters=chain)
    if method == zipfile.ZIP_DEFLATED:
        return zlib.compress(content)[2:-4]
    return {zipfile.ZIP_BZIP2: bz2.compress, ZSTANDARD: zstd.compress}[method](content)


@cache
def packed_crc(mebibytes):
    return zlib.crc32(bytes(mebibytes * MIB))


METHODS = [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA, ZSTANDARD]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("claimed", [0, 100, 10 * MIB])
def test_a_zip_whose_member_has_another_size_costs_that_row(tmp_path, method, claimed, memory):
    crc = zlib.crc32(bytes(claimed))
    lying = Entry(b"b.png", packed(method, 40), crc, claimed, method)
    archive = zip_of([stored(b"a.png", SOUND), lying, stored(b"c.png", SOUND)])
    (tmp_path / "set.zip").write_bytes(archive)
    tracemalloc.reset_peak()
    first, (name, told), last = read(tmp_path / "set.zip")
    assert (first, last) == (("a.png", SOUND), ("c.png", SOUND))
    assert (name, told) == ("b.png", "is damaged: it has not the size that the archive says")
    assert memory() < 8 + 2.2 * claimed / MIB


@pytest.mark.parametrize("sound", [True, False], ids=["sound", "of another checksum"])
@pytest.mark.parametrize("claims", [0, 127 * MIB], ids=["alone", "behind one that lies"])
def test_a_zip_that_expands_to_gigabytes_is_not_read_to_its_end(tmp_path, sound, claims):
    content, crc = packed(ZSTANDARD, 100), packed_crc(100) ^ (not sound)
    large = stored(b"large.png", SOUND)._replace(size=claims)
    entries = [
        Entry(b"%02d.png" % number, content, crc, 100 * MIB, ZSTANDARD) for number in range(60)
    ]
    (tmp_path / "set.zip").write_bytes(zip_of([large, *entries] if claims else entries))
    *images, (name, told) = read(tmp_path / "set.zip")
    assert [name for name, _ in images] == ["large.png"] * bool(claims) + ["00.png"]
    assert name == ""
    assert "expands to more than 128 MiB" in told


def test_members_of_a_zip_that_overlap_are_refused(tmp_path):
    """60 names of the same bytes, and a header that lies within the bytes of another member."""
    inner = stored(b"b.png", SOUND)
    holding = zip_of([inner])
    outer = stored(b"a.png", holding)
    within = inner._replace(at=LOCAL.size + len(outer.name))
    same = [stored(b"%d.png" % number, SOUND)._replace(at=0) for number in range(59)]
    for entries, sound in (([outer, within], 1), ([stored(b"a.png", SOUND), *same], 0)):
        (tmp_path / "set.zip").write_bytes(zip_of(entries))
        found = read(tmp_path / "set.zip")
        assert len(found) == len(entries)
        told = [one for _, one in found if one == "is damaged: it overlaps another member"]
        assert len(told) == len(entries) - sound


def test_links_do_not_multiply_a_file_without_bound(tmp_path):
    large = zstd.compress(header("a.png", 96 * MIB)) + zeros(zstd.compress, 96)
    links = b"".join(
        header(f"{number}.png", 0, tarfile.LNKTYPE, linkname="a.png") for number in range(200)
    )
    (tmp_path / "set.tar.zst").write_bytes(large + zstd.compress(links + END))
    first, *linked, (name, told) = read(tmp_path / "set.tar.zst")
    assert first == ("a.png", bytes(96 * MIB))
    assert len(linked) < 4
    assert name == ""
    assert "expands to more than 128 MiB" in told
