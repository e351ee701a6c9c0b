"""Where images come from: named datasets, folders, files, and paths on stdin."""
