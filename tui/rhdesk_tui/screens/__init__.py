"""One module per screen, its looks beside it; each is given what it shows."""
