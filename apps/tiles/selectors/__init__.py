"""Reads of the tiles: who stands how, which image lies where, and what is in it."""
