"""The near side: screens over an `AsyncDesk`, for a terminal of 60x16 and up."""
