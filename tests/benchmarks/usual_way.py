"""The usual way to turn a folder into a table of features, for `folders.py` to compare with.

python usual_way.py MODEL FOLDER TABLE.csv
"""

import os
import sys
from pathlib import Path

import numpy as np
import pandas
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

import aectl


class Folder(Dataset):
    """Each image of a folder as a tensor, with its path, as torchvision's ImageFolder does it."""

    def __init__(self, folder: str, size: int) -> None:
        self.paths = sorted(str(path) for path in Path(folder).rglob("*") if path.is_file())
        self.prepare = transforms.Compose(
            [transforms.Grayscale(), transforms.Resize((size, size)), transforms.ToTensor()]
        )

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, str]:
        with open(self.paths[index], "rb") as file:
            return self.prepare(Image.open(file).convert("RGB")), self.paths[index]


def main() -> None:
    model_file, folder, table = sys.argv[1:]
    model = aectl.load(model_file)
    loader = DataLoader(Folder(folder, model.shape[1]), batch_size=256, num_workers=os.cpu_count())
    codes, paths = [], []
    with torch.inference_mode():
        for images, names in loader:
            codes.append(model.encode(images).numpy())
            paths += names
    features = np.concatenate(codes)
    frame = pandas.DataFrame(features, columns=[f"f{n}" for n in range(features.shape[1])])
    frame.insert(0, "path", paths)
    frame.to_csv(table, index=False)


if __name__ == "__main__":
    main()
