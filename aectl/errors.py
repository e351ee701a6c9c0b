"""The exceptions that aectl raises, drawn as a tree.

    AectlError
    ├── ConfigError             an option or a configuration file is wrong
    ├── DataError               an input cannot be used
    │   ├── UnknownInputError       neither a dataset's name nor a path
    │   ├── DatasetUnavailableError a known dataset that is not here and cannot be downloaded
    │   └── ImageError              one file that is not a readable image
    ├── ModelFileError          a file that is not a model of aectl, or one of the wrong kind
    ├── OutputError             a result cannot be written
    ├── DivergedError           the training loss is no longer finite
    └── LostProcessError        another process that trains the same model has ended

The message of each is written for the person who has to act on it.
"""


def first_line(error: BaseException) -> str:
    """The first line of an error's message; the name of its type, if the message is empty."""
    return (str(error) or type(error).__name__).splitlines()[0]


class AectlError(Exception):
    """An error that aectl can explain; the command line prints only its message."""


class ConfigError(AectlError):
    """An option or a configuration file is wrong."""


class DataError(AectlError):
    """An input cannot be used."""


class UnknownInputError(DataError):
    """A word that is neither a dataset's name nor an existing path."""


class DatasetUnavailableError(DataError):
    """A known dataset that is not on this machine and cannot be downloaded."""


class ImageError(DataError):
    """One file that is not a readable image; it is left out, and the run continues."""


class ModelFileError(AectlError):
    """A file that is not a model of aectl, or one of the wrong kind."""


class OutputError(AectlError):
    """A result cannot be written."""


class DivergedError(AectlError):
    """The training loss is no longer a finite number.

    `lost_after`: the number of epochs whose weights give no finite loss, where that is known.
    """

    def __init__(self, message: str, lost_after: int | None = None) -> None:
        super().__init__(message)
        self.lost_after = lost_after


class LostProcessError(AectlError):
    """Another process that trains the same model has ended, or cannot be reached."""


class Alike(str):
    """The reason for leaving out an input that is like others reported before: such inputs are only
    counted.
    """

    __slots__ = ()


OUT_OF_MEMORY = ("MemoryError", "_ArrayMemoryError", "OutOfMemoryError")
"""Names of the exceptions that Python, NumPy and torch raise."""

NO_MEMORY = ("can't allocate memory", "ALLOC_FAILED", "out of memory")
"""Parts of the messages of torch and of the libraries of GPUs."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory could not be had, on the CPU or on a GPU."""
    said = str(error)
    return type(error).__name__ in OUT_OF_MEMORY or any(part in said for part in NO_MEMORY)
