"""What is computed once: its identity, its folder, its files."""
