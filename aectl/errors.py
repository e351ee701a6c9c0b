"""The exceptions that aectl raises, drawn as a tree.

    AectlError
    ├── ConfigError             an option or a configuration file is wrong
    ├── DataError               an input cannot be used
    │   ├── UnknownInputError       neither a dataset's name nor a path
    │   ├── DatasetUnavailableError a known dataset that is neither here nor to be downloaded
    │   └── ImageError              one file that is not a readable image
    ├── ModelFileError          a file that is no model of aectl, or one of the wrong kind
    ├── OutputError             a result cannot be written
    └── DivergedError           training left the range of numbers

The message of each is written for the person who has to act on it.
"""


class AectlError(Exception):
    """Anything that aectl knows to explain; the command line prints its message alone."""


class ConfigError(AectlError):
    """An option or a configuration file is wrong."""


class DataError(AectlError):
    """An input cannot be used."""


class UnknownInputError(DataError):
    """A word that is neither a dataset's name nor an existing path."""


class DatasetUnavailableError(DataError):
    """A known dataset that is neither on this machine nor to be downloaded."""


class ImageError(DataError):
    """One file that is not a readable image: it costs its own row, not the run."""


class ModelFileError(AectlError):
    """A file that is no model of aectl, or one of the wrong kind."""


class OutputError(AectlError):
    """A result cannot be written."""


class DivergedError(AectlError):
    """The training loss is no longer a finite number."""


class Alike(str):
    """The reason why an input is left out that is like others, told before: it is counted, and not
    told again.
    """

    __slots__ = ()
