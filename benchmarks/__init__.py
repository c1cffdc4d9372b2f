"""How fast, measured so that the figures can be believed. ``python -m benchmarks`` runs all, with names a part.

Everything is generated before a clock starts. Whatever is compared runs in turns within one run, after a round that
does not count; a figure is the median of its rounds. Each measurement asserts that nothing was switched off
to win: FULL durability, triggers, unique indexes, leaf hashes.
"""
