"""What is measured, as ratios against a baseline in the same run; nothing here is a test."""

import os

# What is installed comes with its bytecode, so what is measured here has it too.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
