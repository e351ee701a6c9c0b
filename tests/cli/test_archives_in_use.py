"""Archives that users and strangers give to a command."""

import csv
import io
import tarfile

from PIL import Image


def test_of_many_bad_inputs_some_are_named_and_all_stand_in_the_table_of_errors(aectl, dense):
    image = io.BytesIO()
    Image.new("L", (8, 8), 9).save(image, "PNG")
    with tarfile.open("many.tar", "w") as tar:
        for number in range(300):
            tar.addfile(tarfile.TarInfo(f"{number}.png"))
        member = tarfile.TarInfo("sound.png")
        member.size = len(image.getvalue())
        tar.addfile(member, io.BytesIO(image.getvalue()))
    model = dense / "model.safetensors"
    for given, said in (
        (("--errors", "bad.csv"), "further ones are listed in bad.csv"),
        ((), "further ones are counted; --errors FILE lists all"),
    ):
        done = aectl("encode", model, "many.tar", "--out", "codes.csv", "--overwrite", *given)
        lines = done.err.splitlines()
        named = [line for line in lines if line.startswith("aectl: left out many.tar/")]
        assert done.status == 1
        assert len(named) == 100
        assert [line for line in lines if said in line] == [
            f"aectl: 100 inputs were left out; {said}"
        ]
        assert lines[-1] == "300 of 301 inputs were left out"
    with open("bad.csv", newline="") as file:
        assert [row["path"] for row in csv.DictReader(file)] == [
            f"many.tar/{number}.png" for number in range(300)
        ]
