"""What a running program tells about its calls."""
