"""``python -m byjy_ops``."""

from byjy_ops.cli import main

main()
