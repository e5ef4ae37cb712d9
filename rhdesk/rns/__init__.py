"""Naming: names to records, every save a version, readable offline.

`names` is what the desk holds; below it stand `work_tree` (the files under ``rh/``),
`repository` (their versions, in git) and `index` (what makes both fast; derived, disposable).
"""
