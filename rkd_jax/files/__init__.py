"""Files and tables: whole or not at all, and never those of others."""
