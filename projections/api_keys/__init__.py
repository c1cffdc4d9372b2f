"""API keys: their table, what may be done with them, and the service that seals and reveals their secrets."""
