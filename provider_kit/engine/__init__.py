"""The story of a call, told once, for both worlds."""
