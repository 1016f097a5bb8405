"""OAuth: logging in, keeping a token fresh, handing it to whoever calls."""
