"""The operator's door: the command ``byjy``, and the importers behind it."""
