"""The doctor: tries everything between a program and a provider, and says what to do about what it finds."""
