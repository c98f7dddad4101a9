"""Programs that show what the package does, each on real input."""
