"""Tar and zip archives as other programs write them; the truth is what was packed."""

import bz2
import gzip
import io
import lzma
import os
import shutil
import struct
import subprocess
import sys
import tarfile
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from packing import Entry, stored, zip_of

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

from aectl.data.inputs import IMAGES, Inputs
from aectl.data.selection import Selection
from aectl.data.storage.archives import find_in_archive

CASES = Path(__file__).parents[4] / "shared" / "cases" / "archives"
NAMES = ["cats/a.png", "dogs/b.png", "root.png"]


A = bytes(range(200))


def noise(number, size=700):
    return np.random.default_rng(number).bytes(size)


CONTENTS = [noise(number) for number in range(len(NAMES))]


def tar_of(members):
    """A tar of (name or TarInfo, content) pairs, as bytes."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for name, content in members:
            info = name if isinstance(name, tarfile.TarInfo) else tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return packed.getvalue()


def link(name, target, kind=tarfile.LNKTYPE):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info, b""


TAR = tar_of(zip(NAMES, CONTENTS, strict=True))


def read(path, selection=None):
    """Names below the archive with contents, or with reasons where there is none."""
    return [
        (one.path.removeprefix(f"{path}").removeprefix("/"), one.content or one.reason)
        for one in find_in_archive(str(path), selection or Selection())
    ]


WHOLE = list(zip(NAMES, CONTENTS, strict=True))


def gzip_with(flags, fields, content):
    """A gzip member with the optional fields of its header (RFC 1952, 2.3)."""
    plain = gzip.compress(content)
    return plain[:3] + bytes([flags]) + plain[4:10] + fields + plain[10:]


def bgzip(content, step=400):
    """Many members, each with its own length in an extra field, and an empty one at the end."""
    pieces = [content[at : at + step] for at in range(0, len(content), step)]
    return b"".join(
        gzip_with(4, struct.pack("<H2sHH", 6, b"BC", 2, 0), one) for one in [*pieces, b""]
    )


def in_two(compress):
    return lambda content: compress(content[:1000]) + compress(content[1000:])


SKIPPABLE = struct.pack("<II", 0x184D2A5E, 9) + b"an index!"
COMPRESSED = {
    "gzip": gzip.compress,
    "gzip, extra field": lambda x: gzip_with(4, struct.pack("<H", 300) + bytes(300), x),
    "gzip, file name and comment": lambda x: gzip_with(0x18, b"set.tar\0of Helm\0", x),
    "gzip, members": in_two(gzip.compress),
    "gzip, bgzip": bgzip,
    "gzip, stored": lambda x: gzip.compress(x, 0),
    "gzip, zeros behind": lambda x: gzip.compress(x) + bytes(512),
    "bzip2": bz2.compress,
    "bzip2, members": in_two(bz2.compress),
    "bzip2, an empty member first": lambda x: bz2.compress(b"") + bz2.compress(x),
    "xz": lzma.compress,
    "xz, members": in_two(lzma.compress),
    "xz, members with padding": lambda x: lzma.compress(x[:9]) + bytes(8) + lzma.compress(x[9:]),
    "xz, SHA-256": lambda x: lzma.compress(x, check=lzma.CHECK_SHA256),
    "lzma": lambda x: lzma.compress(x, lzma.FORMAT_ALONE),
    "zstd": zstd.compress,
    "zstd, members": in_two(zstd.compress),
    "zstd, an index before and behind": lambda x: SKIPPABLE + zstd.compress(x) + SKIPPABLE,
    "not at all": bytes,
}


@pytest.mark.parametrize("compress", COMPRESSED.values(), ids=COMPRESSED)
def test_a_compressed_tar_is_read_whatever_program_wrote_it(tmp_path, compress):
    (tmp_path / "set.tar.gz").write_bytes(compress(TAR))  # its start decides, not its ending
    assert read(tmp_path / "set.tar.gz") == WHOLE


ENDINGS = {
    gzip.compress: (".tar.gz", ".tgz", ".taz", ".TGZ", ".tar"),
    bz2.compress: (".tar.bz2", ".tbz2", ".tbz", ".tb2"),
    lzma.compress: (".tar.xz", ".txz"),
    zstd.compress: (".tar.zst", ".tar.zstd", ".tzst"),
}


@pytest.mark.parametrize(
    ("compress", "ending"), [(one, ending) for one, all in ENDINGS.items() for ending in all]
)
def test_an_archive_is_known_by_its_ending(tmp_path, compress, ending):
    archive = tmp_path / f"set{ending}"
    archive.write_bytes(compress(TAR))
    inputs = Inputs(IMAGES.sources([str(archive)], None), tmp_path)
    found = inputs.found(*inputs.sources)
    assert [(one.path, one.content) for one in found] == [
        (f"{archive}/{name}", content) for name, content in WHOLE
    ]


@pytest.mark.parametrize("program", ["gzip", "bzip2", "xz", "zstd"])
def test_what_the_program_itself_compresses_is_read(tmp_path, program):
    if not shutil.which(program):
        pytest.skip(f"there is no {program} on this machine")
    done = subprocess.run([program, "-c"], input=TAR, capture_output=True, check=True)
    (tmp_path / "set.tar").write_bytes(done.stdout)
    assert read(tmp_path / "set.tar") == WHOLE


@pytest.mark.parametrize("behind", [b"garbage", b"\x1f\x8c" + bytes(range(99))])
@pytest.mark.parametrize("kind", ["gzip", "bzip2", "xz", "zstd"])
def test_what_follows_a_compressed_tar_costs_none_of_it_and_is_told(tmp_path, kind, behind):
    (tmp_path / "set.tar").write_bytes(COMPRESSED[kind](TAR) + behind)
    *images, (name, told) = read(tmp_path / "set.tar")
    assert images == WHOLE
    assert name == ""
    assert "followed by" in told


@pytest.mark.parametrize("kept", [3, 0.3, 0.97])
@pytest.mark.parametrize("kind", ["gzip", "bzip2", "xz", "zstd"])
def test_a_later_compressed_tar_that_is_cut_short_costs_only_what_is_in_it(tmp_path, kind, kept):
    """Also in the bytes that tell how it is compressed."""
    names = ["4.png", "5.png"]
    second = COMPRESSED[kind](tar_of([(name, noise(name == names[1], 9000)) for name in names]))
    size = kept if isinstance(kept, int) else int(kept * len(second))
    path = tmp_path / "t.tar"
    path.write_bytes(COMPRESSED[kind](TAR) + second[:size])
    *found, (name, told) = read(path)
    assert found[:3] == WHOLE
    assert [one for one, _ in found[3:]] == names[: len(found) - 3]
    assert (name, told) == ("", "cannot be read as an archive: is cut short")


@pytest.mark.parametrize("behind", [b"index", bytes(range(256)) * 4, b"\1" * 512], ids=len)
@pytest.mark.parametrize("compress", COMPRESSED.values(), ids=COMPRESSED)
def test_what_follows_the_end_of_a_tar_is_no_part_of_it(tmp_path, compress, behind):
    """As the index that pixz writes there; GNU tar reads nothing behind two blocks of zeros."""
    (tmp_path / "set.tar").write_bytes(compress(TAR + behind))
    assert read(tmp_path / "set.tar") == WHOLE


@pytest.mark.parametrize("at", [0, 4, 8])
@pytest.mark.parametrize("kind", ["gzip", "xz", "bzip2"])
def test_where_a_checksum_fails_nothing_is_lost_and_it_is_told(tmp_path, kind, at):
    """gzip: CRC-32 and size stand in the last 8 bytes; xz and bzip2 have theirs at the end, too."""
    members = [(f"{number}.png", noise(number, 60_000)) for number in range(5)]
    data = bytearray(COMPRESSED[kind](tar_of(members)))
    place = {"gzip": -8 + at % 8, "xz": -36, "bzip2": -4}[kind]
    data[place] ^= 0x55
    (tmp_path / "set.tar").write_bytes(data)
    *images, (name, told) = read(tmp_path / "set.tar")
    assert images == members
    assert name == ""
    assert "damaged" in told


@pytest.mark.parametrize("compress", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_tars_in_a_row_are_read_as_one(tmp_path, compress):
    """As `tar --ignore-zeros` reads them."""
    more = [("more/d.png", noise(4))]
    (tmp_path / "set.tar").write_bytes(compress(TAR) + compress(tar_of(more)))
    assert read(tmp_path / "set.tar") == WHOLE + more


GNU_TAR = "GNU tar" in subprocess.run(["tar", "--version"], capture_output=True, text=True).stdout


@pytest.fixture
def tree(tmp_path):
    """Some files, one with holes, one with a long name, two of one content, and their contents."""
    folder = tmp_path / "tree"
    contents = {"a.png": noise(0), "sea/b.png": noise(1), f"{'n' * 90}/{'m' * 90}.png": noise(2)}
    for name, content in contents.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    with (folder / "holes.png").open("wb") as file:
        for place in range(1 << 17, 7 << 17, 1 << 17):
            file.seek(place)
            file.write(noise(place, 5000))
        file.truncate(1 << 20)
    contents["holes.png"] = (folder / "holes.png").read_bytes()
    os.link(folder / "a.png", folder / "hard.png")
    (folder / "sea" / "soft.png").symlink_to("../a.png")
    return folder, contents | {"hard.png": noise(0), "sea/soft.png": noise(0)}


@pytest.mark.skipif(not GNU_TAR, reason="there is no GNU tar on this machine")
@pytest.mark.parametrize(
    "options",
    [
        ["--format=gnu"], ["--format=oldgnu"], ["--format=ustar"], ["--format=posix"],
        ["--format=gnu", "-S"], ["--format=posix", "-S", "--sparse-version=0.0"],
        ["--format=posix", "-S", "--sparse-version=0.1"],
        ["--format=posix", "-S", "--sparse-version=1.0"], ["-z"], ["-J"], ["-j"],
        ["--format=gnu", "-b", "200"], ["--format=gnu", "-V", "a label"],
    ],
    ids=" ".join,
)  # fmt: skip
def test_whatever_gnu_tar_writes_is_read(tmp_path, tree, options):
    folder, contents = tree
    archive = tmp_path / "set.tar"
    names = sorted(contents)  # a file before the links to it
    subprocess.run(["tar", *options, "-cf", archive, "-C", folder, "--", *names], check=True)
    assert read(archive) == [(name, contents[name]) for name in names]


@pytest.mark.skipif(not GNU_TAR, reason="there is no GNU tar on this machine")
def test_a_tar_of_unix_version_7_is_read(tmp_path, tree):
    folder, _ = tree
    archive = tmp_path / "set.tar"
    subprocess.run(["tar", "--format=v7", "-cf", archive, "-C", folder, "a.png", "sea"], check=True)
    assert dict(read(archive)) == {
        "a.png": noise(0), "sea/b.png": noise(1), "sea/soft.png": noise(0),
    }  # fmt: skip


SYMBOLIC = tarfile.SYMTYPE
LINKS = {
    "hard": link("l.png", "sea/a.png"),
    "symbolic": link("l.png", "sea/a.png", SYMBOLIC),
    "symbolic, from a folder": link("hill/l.png", "../sea/a.png", SYMBOLIC),
    "hard, of the current folder": link("./l.png", "./sea/a.png"),
    "to what is not selected": link("l.png", "sea/a.dat"),
}


@pytest.mark.parametrize("compress", [bytes, gzip.compress], ids=["plain", "gzip"])
@pytest.mark.parametrize("linking", LINKS.values(), ids=LINKS)
def test_a_link_to_a_file_before_it_is_that_file(tmp_path, linking, compress):
    before = [("sea/a.png", noise(0, 3)), ("sea/a.dat", noise(0, 3)), ("x.png", noise(1, 9999))]
    members = [*before, linking, ("y.png", noise(2)), link("again.png", linking[0].name)]
    (tmp_path / "set.tar").write_bytes(compress(tar_of(members)))
    name = linking[0].name.removeprefix("./")
    assert read(tmp_path / "set.tar") == [
        before[0], before[2], (name, noise(0, 3)), ("y.png", noise(2)), ("again.png", noise(0, 3)),
    ]  # fmt: skip


FORWARD = {
    "beside it": ("l.png", "z.png", "z.png"),
    "above it": ("sea/l.png", "../z.png", "z.png"),
    "in another folder": ("a/b/l.png", "../../hill/deep/z.png", "hill/deep/z.png"),
    "not selected": ("l.png", "z.dat", "z.dat"),
}


@pytest.mark.parametrize("compress", [bytes, gzip.compress], ids=["plain", "gzip"])
@pytest.mark.parametrize("where", FORWARD.values(), ids=FORWARD)
def test_a_symbolic_link_may_lead_to_a_later_file(tmp_path, where, compress):
    """As any program packs a folder whose link comes first in its order."""
    name, target, later = where
    linking = link(name, target, SYMBOLIC)
    members = [("a.png", noise(0)), linking, linking, (later, noise(1)), ("zz.png", noise(2))]
    (tmp_path / "set.tar").write_bytes(compress(tar_of(members)))
    wanted = [members[0], (name, noise(1)), (name, noise(1)), members[3], members[4]]
    assert read(tmp_path / "set.tar") == [one for one in wanted if one[0].endswith(".png")]


def test_a_symbolic_link_may_lead_to_a_later_hard_link(tmp_path):
    """As bsdtar packs two names of one file: whichever comes first is the file."""
    members = [("z.dat", A), link("l.png", "b.dat", SYMBOLIC), link("b.dat", "z.dat"),
               link("m.png", "b.dat", SYMBOLIC)]  # fmt: skip
    (tmp_path / "set.tar").write_bytes(tar_of(members))
    assert read(tmp_path / "set.tar") == [("l.png", A), ("m.png", A)]


def test_links_before_the_damage_of_a_tar_are_read(tmp_path):
    members = [link("l.png", "a.png", SYMBOLIC), link("m.png", "z.png", SYMBOLIC), ("a.png", A)]
    archive = bytearray(tar_of([*members, ("z.png", noise(2))]))
    archive[archive.index(b"z.png", 4 * 512)] ^= 1  # the header of the last file
    (tmp_path / "set.tar").write_bytes(archive)
    first, (name, told), a, (_, damaged) = read(tmp_path / "set.tar")
    assert (first, a) == (("l.png", A), ("a.png", A))
    assert name == "m.png"
    assert told.startswith("is a link to 'z.png'")
    assert "damaged" in damaged


NOWHERE = {
    "to what comes later": link("l.png", "z.png"),
    "to itself": link("l.png", "l.png"),
    "out of the archive": link("l.png", "../../../../etc/passwd", SYMBOLIC),
    "to a path of the machine": link("l.png", "/etc/hostname", SYMBOLIC),
    "to a folder": link("l.png", "sea", SYMBOLIC),
}


@pytest.mark.parametrize("linking", NOWHERE.values(), ids=NOWHERE)
def test_a_link_that_leads_to_no_file_before_it_is_named(tmp_path, linking):
    folder = tarfile.TarInfo("sea")
    folder.type = tarfile.DIRTYPE
    archive = tar_of([(folder, b""), ("a.png", noise(0)), linking, ("z.png", noise(1))])
    (tmp_path / "set.tar").write_bytes(archive)
    first, (name, told), last = read(tmp_path / "set.tar")
    assert (first, last) == (("a.png", noise(0)), ("z.png", noise(1)))
    assert name == "l.png"
    assert told.startswith("is a link to ")


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("/abs/a.png", "abs/a.png"), ("../../up.png", "up.png"), ("a/../../b.png", "b.png"),
        ("./././a.png", "a.png"), ("a//b.png", "a/b.png"), ("a/./b.png", "a/b.png"),
        ("..a/b.png", "..a/b.png"), ("a/..b.png", "a/..b.png"), ("a...png", "a...png"),
    ],
)  # fmt: skip
def test_no_name_leads_out_of_the_archive(tmp_path, name, wanted):
    (tmp_path / "set.tar").write_bytes(tar_of([(name, noise(0))]))
    assert read(tmp_path / "set.tar", Selection(include=("*.png", "..*"))) == [(wanted, noise(0))]
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as packed:
        packed.writestr(name, noise(0))
    assert read(tmp_path / "set.zip", Selection(include=("*.png", "..*"))) == [(wanted, noise(0))]


def test_a_name_that_stands_there_twice_is_read_twice(tmp_path):
    twice = [("a.png", noise(0)), ("a.png", noise(1))]
    (tmp_path / "set.tar").write_bytes(tar_of(twice))
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as packed, pytest.warns(UserWarning):
        for name, content in twice:
            packed.writestr(name, content)
    assert read(tmp_path / "set.tar") == twice
    assert read(tmp_path / "set.zip") == twice


def test_empty_archives_are_no_fault(tmp_path):
    with zipfile.ZipFile(tmp_path / "set.zip", "w"):
        pass
    (tmp_path / "set.tar").write_bytes(bytes(10240))
    (tmp_path / "set.tar.gz").write_bytes(gzip.compress(bytes(1024)))
    assert [read(tmp_path / name) for name in ("set.zip", "set.tar", "set.tar.gz")] == [[]] * 3


FOREIGN = {
    "set.tar.Z": b"\x1f\x9d\x90" + bytes(99), "set.tar.lz4": b"\x04\x22\x4d\x18" + bytes(99),
    "set.tar.lz": b"LZIP\1" + bytes(99), "set.7z": b"7z\xbc\xaf\x27\x1c" + bytes(99),
    "set.rar": b"Rar!\x1a\7" + bytes(99),
}  # fmt: skip


@pytest.mark.parametrize("name", FOREIGN)
def test_an_archive_of_a_kind_that_cannot_be_read_is_named_with_the_way_out(tmp_path, name):
    (tmp_path / name).write_bytes(FOREIGN[name])
    ((_, told),) = read(tmp_path / name)
    assert "not supported: unpack it" in told


def test_a_pipe_named_like_an_archive_is_not_waited_for(aectl, dense, tmp_path):
    os.mkfifo(tmp_path / "x.tar")
    done = aectl("encode", dense / "model.safetensors", "x.tar", "--out", "codes.csv")
    assert done.status == 2
    assert "not a regular file" in done.err


class Unseekable(io.BytesIO):
    """As a pipe, into which a zip is written with data descriptors (APPNOTE.TXT, 4.3.9)."""

    def seekable(self):
        return False

    def seek(self, *_):
        raise io.UnsupportedOperation

    def tell(self):
        raise io.UnsupportedOperation


def zipped(file, method=zipfile.ZIP_DEFLATED, **options):
    with zipfile.ZipFile(file, "w", method) as packed:
        for name, content in WHOLE:
            with packed.open(name, "w", **options) as member:
                member.write(content)
    return file.getvalue()


def recompressed(method, compress):
    """A zip whose members another method has compressed, as no module of Python writes it."""
    return zip_of(
        [
            Entry(name.encode(), compress(content), zlib.crc32(content), len(content), method)
            for name, content in WHOLE
        ]
    )


ZIPS = {
    "stored": zipped(io.BytesIO(), zipfile.ZIP_STORED),
    "deflate": zipped(io.BytesIO()),
    "bzip2": zipped(io.BytesIO(), zipfile.ZIP_BZIP2),
    "LZMA": zipped(io.BytesIO(), zipfile.ZIP_LZMA),
    "Zstandard": recompressed(93, zstd.compress),
    "xz": recompressed(95, lzma.compress),
    "zip64": zipped(io.BytesIO(), force_zip64=True),
    "data descriptors": zipped(Unseekable()),
    "behind a program": b"#!/bin/sh\nexit 1\n" + zipped(io.BytesIO()),
}


@pytest.mark.parametrize("name", ["set.zip", "set.zipx"])
@pytest.mark.parametrize("kind", ZIPS)
def test_a_zip_is_read_whatever_program_wrote_it(tmp_path, kind, name):
    (tmp_path / name).write_bytes(ZIPS[kind])
    assert read(tmp_path / name) == WHOLE


def test_a_zip_by_another_name_is_read(tmp_path):
    (tmp_path / "set.tar").write_bytes(ZIPS["deflate"])
    assert read(tmp_path / "set.tar") == WHOLE


@pytest.mark.parametrize(
    ("options", "word"), [(("-P", "word"), "encrypted"), (("-y",), ""), ((), "")]
)
def test_what_the_zip_program_writes_is_read_or_named(tmp_path, tree, options, word):
    if not shutil.which("zip"):
        pytest.skip("there is no zip on this machine")
    folder, contents = tree
    names = sorted(contents)
    subprocess.run(["zip", "-q", *options, "../set.zip", *names], cwd=folder, check=True)
    found = read(tmp_path / "set.zip")
    assert [name for name, _ in found] == names
    if word:
        assert all(word in told for _, told in found)
    else:
        assert dict(found) == contents


def with_name(raw, flags=0):
    """A zip of one member whose name has these bytes."""
    return zip_of([stored(raw, noise(0))._replace(flags=flags)])


@pytest.mark.parametrize(
    ("raw", "flags", "wanted"),
    [
        (b"cats\\a.png", 0, "cats/a.png"),
        (b"cats\\deep\\a.png", 0, "cats/deep/a.png"),
        (b"\\cats\\a.png", 0, "cats/a.png"),
        ("größe\\a.png".encode(), 0x800, "größe/a.png"),
        (b"cats/a\\b.png", 0, "cats/a\\b.png"),
        ("größe/a.png".encode(), 0x800, "größe/a.png"),
        ("größe/a.png".encode(), 0, "größe/a.png"),
        ("größe/a.png".encode("cp437"), 0, "größe/a.png"),
        ("\u8868.png".encode("shift-jis"), 0, "ò\\.png"),  # half of the letter is a backslash
        ("\u30ad.png".encode("shift-jis"), 0, "âL.png"),
    ],
)
def test_names_in_zips_of_other_systems(tmp_path, raw, flags, wanted):
    (tmp_path / "set.zip").write_bytes(with_name(raw, flags))
    assert read(tmp_path / "set.zip") == [(wanted, noise(0))]


def test_odd_names_in_zips_cost_nothing_but_themselves(tmp_path):
    """None at all, one too long for any path, and one that is said to be UTF-8 and is not."""
    sound = stored(b"a.png", noise(0))
    odd = [stored(b"", b""), stored(b"x" * 5000 + b".png", noise(1)), stored(b"/", b"")]
    (tmp_path / "set.zip").write_bytes(zip_of([*odd, sound]))
    (name, told), last = read(tmp_path / "set.zip")
    assert (len(name), told) == (4096, "has a name of more than 4,096 characters")
    assert last == ("a.png", noise(0))
    (tmp_path / "set.zip").write_bytes(zip_of([stored(b"\xff.png", b"")._replace(flags=0x800)]))
    ((_, told),) = read(tmp_path / "set.zip")
    assert "said to be UTF-8 and is not" in told


COUNTS = {"a.tar.zst": 3, "fextra.tar.gz": 3, "hl.tar": 2, "mac.zip": 2, "multi.tar.gz": 3,
          "sjis.zip": 1, "wds-000000.tar": 4, "win.zip": 2}  # fmt: skip


@pytest.mark.parametrize("name", COUNTS)
def test_archives_that_people_have_reported_give_each_of_their_images(aectl, dense, name):
    if not CASES.exists():
        pytest.skip(f"there is no {CASES}")
    done = aectl("encode", dense / "model.safetensors", CASES / name, "--out", "codes.csv",
                 "--label-from-folder")  # fmt: skip
    assert (done.status, done.err.count("left out")) == (0, 0)
    rows = Path("codes.csv").read_text().splitlines()[1:]
    assert len(rows) == COUNTS[name]
    if name in ("win.zip", "a.tar.zst", "fextra.tar.gz", "multi.tar.gz"):
        assert [row.split(",")[1] for row in rows[:2]] == ["cats", "dogs"]
