"""Files of tensors, beside the safetensors library."""

import pytest
import torch
import warm
from safetensors.torch import load, save

from aectl.models import tensor_file

TENSORS = {
    "several types": {
        "z": torch.arange(5), "weight": torch.randn(3, 4), "b": torch.randn(7).double(),
        "flag": torch.tensor([True, False]), "bytes": torch.arange(9, dtype=torch.uint8),
    },
    "views": {"t": torch.arange(12.0).view(3, 4).t(), "part": torch.arange(10.0)[2::3]},
    "shared": dict.fromkeys("ab", torch.ones(4)),
    "empty and single": {"none": torch.zeros(0, 3), "one": torch.tensor(2.5)},
    "no tensors": {},
}  # fmt: skip
METADATA = {"aectl": '{"classes": ["caf\u00e9", "a\\"b\\\\", "\u001f\\n"]}'}


@pytest.mark.parametrize("tensors", TENSORS.values(), ids=TENSORS)
def test_the_bytes_are_those_of_the_safetensors_library(tensors, tmp_path):
    tensor_file.write(tmp_path / "t", tensors, METADATA)
    apart = {name: value.contiguous().clone() for name, value in tensors.items()}
    assert (tmp_path / "t").read_bytes() == save(apart, METADATA)


@pytest.mark.parametrize("tensors", TENSORS.values(), ids=TENSORS)
def test_what_the_library_wrote_is_read_as_the_library_reads_it(tensors, tmp_path):
    content = save({name: value.contiguous().clone() for name, value in tensors.items()}, METADATA)
    (tmp_path / "t").write_bytes(content)
    found, metadata = tensor_file.read(tmp_path / "t")
    wanted = load(content)
    assert metadata == METADATA
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        assert found[name].dtype == value.dtype
        assert torch.equal(found[name], value)


def put_together(header, data=b""):
    return len(header).to_bytes(8, "little") + header + data


@pytest.mark.parametrize(
    "content",
    [
        b"", b"short", (2**63).to_bytes(8, "little"), put_together(b"[]"), put_together(b"{"),
        put_together(b"\xff"), put_together(b"[" * 100_000),
        put_together(b'{"a":1}'), put_together(b'{"__metadata__":{"a":1}}'),
        put_together(b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'),
        put_together(b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}', b"12345"),
        put_together(b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}', b"12345678"),
        put_together(b'{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}', b"1234"),
        put_together(b'{"a":{"dtype":"F33","shape":[1],"data_offsets":[0,4]}}', b"1234"),
        put_together(b'{"a":{"dtype":"F32","shape":[-1],"data_offsets":[4,0]}}', b""),
        put_together(b'{"a":{"dtype":"F32","shape":[0,4611686018427387904],'
                     b'"data_offsets":[0,0]}}'),
        put_together(b'{"a":{"dtype":"F32","shape":[0,2305843009213693952,2305843009213693952],'
                     b'"data_offsets":[0,0]}}'),
        put_together(b'{"a":{"dtype":"U8","shape":[1.0],"data_offsets":[0,1]}}', b"1"),
        put_together(b'{"a":{"dtype":"BOOL","shape":[1],"data_offsets":[0,1]}}', b"\x02"),
        put_together(b'{"a":{"dtype":"U8","shape":[' + b"1," * 64 + b'1],"data_offsets":[0,1]}}',
                     b"1"),
    ],
)  # fmt: skip
def test_what_is_not_such_a_file_is_refused(content, tmp_path):
    (tmp_path / "t").write_bytes(content)
    with pytest.raises(ValueError):
        tensor_file.read(tmp_path / "t")


MEASURE = """
import resource, sys
from pathlib import Path
import torch
from aectl.models import tensor_file
tensors = {str(n): torch.zeros(8 << 20) for n in range(8)}  # 256 MiB
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
tensor_file.write(Path(sys.argv[1]), tensors, {})
written = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
del tensors
tensor_file.read(Path(sys.argv[1]))
print((written - before) >> 10, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) >> 10)
"""


def test_writing_and_reading_take_no_second_copy_of_the_tensors(tmp_path):
    grown = warm.python(MEASURE, tmp_path / "t").split()
    assert all(int(mebibytes) < 64 for mebibytes in grown)
