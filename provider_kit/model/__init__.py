"""What is said and configured: values, and the checks at the public edge."""
