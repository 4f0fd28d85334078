"""What runs: the schema of the params files, and how they are read."""
