"""Data: files, folders and tables, wherever they are; entered when a verb first needs it."""
