"""What is said and configured: values, and the checks at the public edge (``inputs.py``).

Values know no provider and no wire format; whoever writes them down is a dialect. Nothing is opened but the files that
somebody attaches.
"""
