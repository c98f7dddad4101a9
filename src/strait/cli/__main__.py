"""`python -m strait.cli`, for where the `strait` script is not on the path."""

from strait.cli import main

main()
