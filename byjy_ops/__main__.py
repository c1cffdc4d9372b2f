"""Where ``byjy`` starts, and ``python -m byjy_ops``: the library alone brings the command, but not what it needs."""

from __future__ import annotations

import sys

_EXTRA = ("click", "rich", "typer")


def main() -> None:
    """Run the command, or say how to install what it needs."""
    try:
        from byjy_ops.cli import main as run
    except ModuleNotFoundError as error:
        if error.name not in _EXTRA:
            raise
        print(f"byjy: {error.name} is not installed; it comes with: pip install 'byjy-events[cli]'", file=sys.stderr)
        sys.exit(2)
    run()


if __name__ == "__main__":
    main()
