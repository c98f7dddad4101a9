"""Writes the client's models and services and the server's routes and bodies from `api/`.

Data goes one way: `load` reads the two files into the plain dataclasses of `ir`, one printer per
kind of module turns those into source text, and `output` has it formatted, written or compared.
A printer decides nothing about the API: what is an exception stands in `api/names.toml`.
"""
