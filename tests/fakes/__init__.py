"""Stand-ins, one file per seam."""
