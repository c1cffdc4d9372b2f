"""The same workload through other event stores, side by side with ours: ``make bench-peers``.

Each peer lives in an environment of its own under ``build/peers``, and runs a script that knows nothing of this
program: it reads the workload from a file, appends and reads it through the peer's public interface, and prints what it
measured as JSON.
"""
