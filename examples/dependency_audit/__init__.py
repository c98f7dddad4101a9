"""Audit what is really installed: licences, sizes, file hashes and unmet dependencies."""
