"""How an API speaks. Pure: requests to bytes, bytes to answers; no socket, no clock, no credentials."""
