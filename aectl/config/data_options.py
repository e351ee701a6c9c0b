"""The options of `aectl train` that name the training data, and how it is read."""

from dataclasses import dataclass

from aectl.config import declaration as options
from aectl.config import kinds
from aectl.config.declaration import Section, option
from aectl.config.decoding import MAX_PIXELS, REFUSE, TRUNCATED
from aectl.config.kinds import IMAGES, MAP, TEXT, VECTORS, WORDS
from aectl.errors import ConfigError

SIDE, CROP = 32, 64
"""The default height and width of the images of a folder at most, and where the code is a map; the
second is also that of the crops that a map is trained on by default."""

MIDDLE = 256
"""Pixels of a side of the middle of larger images, which is measured after each epoch if training
is on crops: measuring all of them would take longer than training."""


@dataclass(frozen=True)
class DataConfig(Section):
    """The training data, and how it is read."""

    dataset: tuple[str, ...] = option(
        ("mnist",),
        "A dataset's name, a folder, an archive or a file of images, - for paths on stdin, or "
        "patches:FOLDER: patches of a folder's images in grey, whitened and scaled "
        "(raw-patches:FOLDER: as they are). text-autoencoder: wikitext-2, a file or folder of "
        "text, .txt or .tsv, or - for lines on stdin. autoencoder and classifier: a file or folder "
        "of vectors, .npy, .npz, .safetensors, .parquet, .csv, .tsv or .jsonl, such as "
        "acts.npz:layer-3 for one of several arrays. Files and folders may be URLs. May be given "
        "several times.",
        is_path=True,
    )
    patches: int | None = option(
        None,
        "Number of patches drawn from the training images, for patches:FOLDER and for "
        "--model patch-autoencoder.",
        at_least=1, at_most=10_000_000,
        modalities=(IMAGES,),
        unset="10,000 of 8x8 pixels; 400,000 with --model patch-autoencoder",
    )  # fmt: skip
    size: tuple[int, ...] | None = option(
        None,
        "Resize images to HEIGHTxWIDTH pixels.",
        lengths=(1, 2), at_least=1, at_most=4096, form=f"{options.SIDES}, or one number for both",
        modalities=(IMAGES,),
        unset=f"the dataset's own; at most {SIDE}x{SIDE} for a folder, {CROP}x{CROP} with "
        "--bottleneck map",
    )  # fmt: skip
    channels: int | None = option(
        None,
        "Channels of an image: 1 (grey) or 3 (colour).",
        choices=(1, 3),
        modalities=(IMAGES,),
        unset="the dataset's own",
    )  # fmt: skip
    value_range: tuple[float, float] | None = option(
        None,
        "Values of black and white in image files whose format does not define them; stored in the "
        "model.",
        lengths=(2, 2), form="LOW,HIGH",
        modalities=(IMAGES,),
        unset="those of the format",
    )  # fmt: skip
    max_pixels: int = option(
        MAX_PIXELS,
        "Maximum number of pixels of an image file; larger images are left out.",
        at_least=1,
        modalities=(IMAGES,),
    )
    truncated: str = option(
        REFUSE,
        "Truncated JPEGs: leave them out (refuse), or use the readable part (keep).",
        choices=TRUNCATED,
        modalities=(IMAGES,),
    )
    validation: float = option(
        0.0,
        "Fraction of the training set that is held out for validation; text is held out by whole "
        "documents.",
        at_least=0,
        below=1,
    )
    ext: str | None = option(
        None,
        "In a folder, use the files with these extensions, such as png,jpg.",
        unset="those of images; for text, .txt and .tsv",
    )
    include: tuple[str, ...] | None = option(
        None,
        "In a folder, use the files that match this pattern, such as 'good/*.png', whatever their "
        "extension; may be given several times.",
        unset="those with the extension of an image; for text, .txt and .tsv",
    )
    exclude: tuple[str, ...] | None = option(
        None,
        "In a folder, skip the files and folders that match this pattern; may be given several "
        "times.",
        unset="none",
    )
    labels: int | None = option(
        None,
        "Number of labelled images to train a classifier on, drawn at random, equally many of each "
        "class.",
        at_least=1,
        when=("model", kinds.classifiers()),
        modalities=(IMAGES, VECTORS),
        unset="all",
    )
    shift: int = option(
        0,
        "Maximum random shift of training images, in pixels, horizontally and vertically.",
        at_least=0, at_most=1000,
        when=("model", kinds.reading_pixels()),
        modalities=(IMAGES,),
    )  # fmt: skip
    flip: bool = option(
        False,
        "Flip each training image horizontally with probability 1/2, drawn anew in each epoch.",
        when=("model", kinds.reading_pixels()),
        modalities=(IMAGES,),
    )
    crop: tuple[int, ...] | None = option(
        None,
        "Train on crops of HEIGHTxWIDTH pixels, one of each image at a random place, drawn anew in "
        "each epoch. The model, and what eval and the report measure, is of whole images; after "
        f"each epoch, the middle {MIDDLE}x{MIDDLE} pixels of larger images are measured.",
        lengths=(1, 2), at_least=1, at_most=4096, form=f"{options.SIDES}, or one number for both",
        when=("bottleneck", (MAP,)),
        unset=f"{CROP}x{CROP} of larger images; whole images with --optimizer lbfgs, and where "
        "--sparsity keeps k units of each",
    )  # fmt: skip
    length: int = option(
        20,
        "Maximum number of tokens (pieces of words) per text; training uses random pieces of "
        "longer lines.",
        at_least=1, at_most=4096,
        when=("model", kinds.encoding(TEXT)),
    )  # fmt: skip
    vocabulary: int = option(
        2000,
        "Size of the vocabulary learnt from the training text; it includes all single bytes.",
        at_least=300, at_most=65_536,
        when=("model", kinds.encoding(TEXT)),
    )  # fmt: skip
    swap: float = option(
        0.2,
        "Fraction of the training tokens that are replaced by random others, in input and target "
        "alike.",
        at_least=0, at_most=1,
        when=("model", kinds.encoding(TEXT)),
        instead=(("bottleneck", WORDS, 0.0),),
    )  # fmt: skip

    columns: tuple[str, ...] | None = option(
        None,
        "Columns of a table that are features: names, or patterns such as 'f*', separated by "
        "commas; may be given several times.",
        modalities=(VECTORS,),
        unset="all that hold numbers, or the one that holds vectors",
    )
    id_column: str | None = option(
        None,
        "Column of a table that names its rows.",
        modalities=(VECTORS,),
        unset="path, id, or another usual name",
    )
    label_column: str | None = option(
        None,
        "Column of a table that labels its rows.",
        modalities=(IMAGES, VECTORS),
        unset="label, class, target, or another usual name",
    )
    paths_column: str | None = option(
        None,
        "Column of a table of images (.csv, .tsv, .jsonl, .parquet) that holds their paths, "
        "relative to the folder of the table.",
        modalities=(IMAGES,),
        unset="tables list no images",
    )
    shuffle_buffer: int | None = option(
        None,
        "Number of vectors that are shuffled together, where they are read from disk in each epoch "
        "instead of being kept in memory.",
        at_least=1,
        modalities=(VECTORS,),
        unset="all vectors, where they fit into half of the memory (--memory); else 256 MiB of "
        "them",
    )
    parent: str | None = option(
        None,
        "Network that gave the vectors, kept in the model file.",
        modalities=(VECTORS,),
        unset="none",
    )
    layer_of: str | None = option(
        None,
        "Layer of that network, kept in the model file.",
        modalities=(VECTORS,),
        unset="none",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.value_range and not self.value_range[0] < self.value_range[1]:
            low, high = map(options.text, self.value_range)
            raise ConfigError(
                f"--value-range must be LOW,HIGH with LOW below HIGH; {low},{high} given"
            )
        if not self.dataset:
            raise ConfigError("--dataset names no data")
