"""A simulated trading engine on a fresh log: the example to learn from, and a proof that it holds.

Read it in this order: ``engine`` (how an engine writes down what it wants and what a venue says), ``adapter`` (from a
venue's message to a fact), ``strategy`` (who decides), ``session`` (how it all starts and ends). ``venue`` plays the
other side, with all its bad manners; it keeps books of its own, and at the end ``books`` compares.
"""

from byjy_ops.demo.errors import LogNotEmpty
from byjy_ops.demo.session import DEFAULT_EVENTS, DEFAULT_SEED, run_demo

__all__ = ["DEFAULT_EVENTS", "DEFAULT_SEED", "LogNotEmpty", "run_demo"]
