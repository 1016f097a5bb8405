"""What users hold: the client, its streams, the clients of a configuration file. Decides nothing about a call."""
