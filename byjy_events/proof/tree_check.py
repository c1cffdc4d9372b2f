"""The tree over the events that an audit sees, grown from nothing, held against stored subtrees and checkpoints."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from byjy_events.proof.claims import Claim
from byjy_events.proof.event_check import Leaves
from byjy_events.proof.finding import FindingKind, Findings
from byjy_events.proof.frontier import Completed, Frontier
from byjy_events.proof.tables import LEVEL_BITS, TOP_LEVEL


class TreeCheck:
    """Grows a tree by the leaf hashes as they are stored, and compares.

    Where some of them are not what they ought to be, another tree is grown over those that ought to be, from there on:
    of an event whose content was altered the stored hash is right, of one whose hash was altered the computed one.

    Attributes:
        compared: claims so far.
    """

    def __init__(self, stored: Mapping[tuple[int, int], bytes], stored_size: int, findings: Findings) -> None:
        """
        Args:
            stored: the subtrees in the database, by level and number.
            stored_size: of the largest stored checkpoint, whose subtrees have to be there.
        """
        self._nodes = dict(stored)
        self._stored_size = stored_size
        self._findings = findings
        self._tree = Frontier(LEVEL_BITS)
        self._mended: Frontier | None = None
        self._wrong: list[Completed] = []
        self._good = 0
        self._is_rewritten = False
        self.compared = 0

    @property
    def size(self) -> int:
        """Events so far."""
        return self._tree.size

    def grow(self, leaves: Leaves) -> None:
        """The next events."""
        if self._mended is None and leaves.stored != leaves.computed:
            self._mended = self._tree.copy()
        if self._mended is not None:
            self._mended.add(leaves.computed)
        for completed in self._tree.add(leaves.stored):
            self._look_at(completed)

    def compare(self, claim: Claim) -> bool:
        """Compare what somebody says the root is at this size. Returns whether it is that."""
        self.compared += 1
        roots = [tree.root() for tree in (self._tree, self._mended) if tree is not None]
        if claim.root not in roots:
            self._rewritten(claim)
            return False
        self._good = claim.size
        if claim.root == roots[0]:  # the events are those that were signed for, so the subtrees are wrong
            self._find_wrong(self._wrong)
        self._wrong = []
        return True

    def ended(self, head: int, *, whole: bool) -> None:
        """Nothing follows.

        Args:
            head: where the log ends.
            whole: whether the tree is over all of it.
        """
        if not self._is_rewritten:  # behind the last checkpoint nothing says which of the two is right
            self._find_wrong(self._wrong)
        for level, number in self._nodes:
            if not 1 <= level <= TOP_LEVEL or number < 0:
                message = f"there can be no subtree {number} of level {level}, and it is stored"
                self._findings.add(0, 0, FindingKind.SUBTREE, message)
            elif whole and (last := _positions(level, number)[1]) > head:
                first = max(_positions(level, number)[0], head + 1)
                message = f"the stored subtree {number} of level {level} is over events that are not there"
                self._findings.add(first, last, FindingKind.TRUNCATED, message)

    def _look_at(self, completed: Completed) -> None:
        stored = self._nodes.pop((completed.level, completed.number), None)
        first, last = _positions(completed.level, completed.number)
        if stored is None and last <= self._stored_size:
            message = f"the stored subtree {completed.number} of level {completed.level} is missing"
            self._findings.add(first, last, FindingKind.SUBTREE, message)
        elif stored is not None and stored != completed.hash:
            self._wrong.append(completed)

    def _rewritten(self, claim: Claim) -> None:
        if self._is_rewritten:  # all later ones differ too
            return
        self._is_rewritten = True
        blocks = sorted(_positions(node.level, node.number) for node in self._wrong if node.level == 1)
        first, last = blocks[0] if blocks else (self._good + 1, claim.size)
        message = f"not what was signed for: {claim.where} has another root over {claim.size} events"
        self._findings.add(max(first, self._good + 1), min(last, claim.size), FindingKind.REWRITTEN, message)

    def _find_wrong(self, nodes: Iterable[Completed]) -> None:
        for node in nodes:
            first, last = _positions(node.level, node.number)
            message = f"the stored subtree {node.number} of level {node.level} is not over these events"
            self._findings.add(first, last, FindingKind.SUBTREE, message)


def _positions(level: int, number: int) -> tuple[int, int]:
    width = 1 << LEVEL_BITS * level
    return number * width + 1, (number + 1) * width
