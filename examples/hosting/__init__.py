"""The same jobs, hosted in each framework: one small file each, to run as its users do."""
