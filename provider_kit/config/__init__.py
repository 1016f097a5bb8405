"""The configuration file: found, read, checked as a whole, and explained line by line."""
