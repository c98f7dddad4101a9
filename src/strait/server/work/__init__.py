"""What writes do: load, let the engine decide, save, and pass on what follows."""
