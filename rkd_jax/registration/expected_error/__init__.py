"""By how many pixels a registration may be off, at each place of the overlap."""
