"""Drawn photographs: the default data of every experiment."""
