"""How commands run: memory, compile cache, errors of one line, progress."""
