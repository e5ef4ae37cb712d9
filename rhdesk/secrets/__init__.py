"""Secrets: kept sealed, read from and written to where their providers look for them.

envelope   bytes sealed under a key: cryptography, named here alone          envelope.py
keys       the key all others are sealed under, and what guards it            keys.py
sealed     the keeper that needs nothing but this machine                     sealed.py
providers  whose credentials are understood, and in which files they are      providers/
"""
