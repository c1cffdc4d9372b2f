"""The events of a trading engine, one module per subject."""
