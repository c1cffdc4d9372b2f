"""Roots and proofs: as RFC 6962 defines them, as a library by others computes them, and of nothing else."""

from __future__ import annotations

import base64
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymerkle import InmemoryTree

from byjy_events.proof.frontier import Frontier
from byjy_events.proof.merkle import (
    EMPTY_ROOT,
    Span,
    consistency_spans,
    full_root,
    inclusion_spans,
    joined,
    node_hash,
    root_by_inclusion,
    root_of,
    roots_by_consistency,
    subtrees_of,
)

ENTRIES = [bytes.fromhex(entry) for entry in ("", "00", "10", "2021", "3031", "40414243", "5051525354555657")]
ENTRIES.append(bytes(range(0x60, 0x70)))
"""The entries that implementations of RFC 6962 test with."""

ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
"""The root over the first one of them, the first two, and so on."""

MOST = 70


def leaf(data: bytes) -> bytes:
    return sha256(b"\0" + data).digest()


LEAVES = [leaf(str(number).encode()) for number in range(MOST)]


# The definitions of RFC 6962, section 2.1, word for word.


def largest_power_below(count: int) -> int:
    power = 1
    while power * 2 < count:
        power *= 2
    return power


def tree_hash(leaves: list[bytes]) -> bytes:
    if len(leaves) < 2:
        return leaves[0] if leaves else EMPTY_ROOT
    split = largest_power_below(len(leaves))
    return node_hash(tree_hash(leaves[:split]), tree_hash(leaves[split:]))


def audit_path(index: int, leaves: list[bytes]) -> list[bytes]:
    if len(leaves) == 1:
        return []
    split = largest_power_below(len(leaves))
    if index < split:
        return [*audit_path(index, leaves[:split]), tree_hash(leaves[split:])]
    return [*audit_path(index - split, leaves[split:]), tree_hash(leaves[:split])]


def subproof(old: int, leaves: list[bytes], *, complete: bool) -> list[bytes]:
    if old == len(leaves):
        return [] if complete else [tree_hash(leaves)]
    split = largest_power_below(len(leaves))
    if old <= split:
        return [*subproof(old, leaves[:split], complete=complete), tree_hash(leaves[split:])]
    return [*subproof(old - split, leaves[split:], complete=False), tree_hash(leaves[:split])]


def over(span: Span) -> bytes:
    """The hash over some of the leaves, by their full subtrees."""
    return joined([full_root(LEAVES[number << level : (number + 1) << level]) for level, number in subtrees_of(span)])


def test_the_roots_of_the_well_known_entries() -> None:
    """Of every implementation of RFC 6962."""
    leaves = [leaf(entry) for entry in ENTRIES]
    assert EMPTY_ROOT.hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert [root_of(leaves[:size]).hex() for size in range(1, 9)] == ROOTS


def test_every_root_and_proof_is_what_the_definition_says() -> None:
    """Of every size up to 70, for every leaf and every older size; and each leads to the root."""
    for size in range(1, MOST + 1):
        leaves = LEAVES[:size]
        root = tree_hash(leaves)
        assert root_of(leaves) == root
        for index in range(size):
            path = list(map(over, inclusion_spans(index, size)))
            assert path == audit_path(index, leaves)
            assert root_by_inclusion(leaves[index], index, size, path) == root
        for old in range(1, size + 1):
            path = list(map(over, consistency_spans(old, size)))
            assert path == subproof(old, leaves, complete=True)
            assert roots_by_consistency(old, size, tree_hash(leaves[:old]), path) == (tree_hash(leaves[:old]), root)


def test_a_library_by_others_agrees() -> None:
    """On every root, and on every way from a leaf to it."""
    others = InmemoryTree(algorithm="sha256")
    for number in range(MOST):
        others.append_entry(str(number).encode())
    for size in range(1, MOST + 1):
        assert others.get_root(size) == root_of(LEAVES[:size])
        for index in range(size):
            theirs = others.prove_inclusion(index + 1, size).serialize()["path"]
            ours = [LEAVES[index], *map(over, inclusion_spans(index, size))]
            assert sorted(theirs) == sorted(one.hex() for one in ours)


@given(st.integers(1, MOST), st.data())
def test_a_proof_is_of_one_leaf_at_one_place_in_one_tree(size: int, data: st.DataObject) -> None:
    """Another leaf, place or size, and a hash more, less or other lead to another root or to none."""
    index = data.draw(st.integers(0, size - 1))
    path = list(map(over, inclusion_spans(index, size)))
    root = root_of(LEAVES[:size])
    assert root_by_inclusion(leaf(b"other"), index, size, path) != root
    for other in set(range(size)) - {index}:
        assert root_by_inclusion(LEAVES[index], other, size, path) != root
    assert root_by_inclusion(LEAVES[index], index, size, [*path, bytes(32)]) is None
    assert root_by_inclusion(LEAVES[index], size, size, path) is None
    for wrong in range(len(path)):
        assert root_by_inclusion(LEAVES[index], index, size, path[:wrong] + path[wrong + 1 :]) is None
        altered = [*path[:wrong], bytes(32), *path[wrong + 1 :]]
        assert root_by_inclusion(LEAVES[index], index, size, altered) != root


@given(st.integers(1, MOST), st.data())
def test_a_consistency_proof_is_of_two_trees(size: int, data: st.DataObject) -> None:
    """Of others it leads to other roots, or to none."""
    old = data.draw(st.integers(1, size))
    path = list(map(over, consistency_spans(old, size)))
    roots = root_of(LEAVES[:old]), root_of(LEAVES[:size])
    assert roots_by_consistency(old, size, bytes(32), path) != (bytes(32), roots[1])
    assert roots_by_consistency(old, size, roots[0], [*path, bytes(32)]) is None
    for wrong in range(len(path)):
        altered = [*path[:wrong], bytes(32), *path[wrong + 1 :]]
        assert roots_by_consistency(old, size, roots[0], altered) != roots
    for span in ((0, size), (size + 1, size), (-1, size)):
        assert roots_by_consistency(*span, roots[0], path) is None


@pytest.mark.parametrize(("index", "size"), [(0, 0), (-1, 3), (3, 3)])
def test_a_leaf_that_is_not_there_has_no_proof(index: int, size: int) -> None:
    """The error names both."""
    with pytest.raises(ValueError, match=f"size {size} has no leaf {index}"):
        inclusion_spans(index, size)


@given(st.lists(st.integers(0, 40), max_size=12))
def test_a_frontier_grows_to_the_same_roots_whatever_the_steps(steps: list[int]) -> None:
    """With kept levels of 8 leaves each, so that several of them fill up; and it hands out every full subtree."""
    frontier, leaves, completed = Frontier(3), [leaf(str(number).encode()) for number in range(sum(steps))], []
    size = 0
    for step in steps:
        completed += frontier.add(leaves[size : size + step])
        size += step
        assert (frontier.size, frontier.root()) == (size, root_of(leaves[:size]))
    expected = {
        (level, number): full_root(leaves[number << 3 * level : (number + 1) << 3 * level])
        for level in range(1, 4)
        for number in range(size >> 3 * level)
    }
    assert {(one.level, one.number): one.hash for one in completed} == expected
    assert len(completed) == len(expected)


def test_base64_of_a_root_is_as_checkpoints_spell_it() -> None:
    """The checkpoint in the reference is over the well-known entries."""
    assert base64.b64encode(bytes.fromhex(ROOTS[-1])).decode() == "XcnaeacGWamtVZy3Ad7ZoqudgjqtL0lgz+Nw7/RgQyg="
