"""The functions under the commands: what `aectl.encode` and the others do, without a terminal."""
