"""Data: folders and files of any system, and moving them between systems, on fsspec."""
