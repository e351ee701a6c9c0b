"""`python -m aectl` is the command `aectl`."""

from aectl.cli import program

if __name__ == "__main__":
    program()
