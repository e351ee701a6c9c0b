"""Local files: folders, archives, downloads."""
