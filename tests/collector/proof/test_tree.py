"""The tree: equal to the definition in RFC 6962, for every size and place."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.proof.tree import (
    EMPTY_ROOT,
    Frontier,
    Tree,
    leaf_data,
    leaf_hash,
    node_hash,
    verify_consistency,
    verify_inclusion,
)
from tests.effort import examples

SIZES = st.integers(0, 130)
# The test vectors that Certificate Transparency's implementations share.
CT_LEAVES = [
    b"", b"\x00", b"\x10", b"\x20\x21", b"\x30\x31", b"\x40\x41\x42\x43", b"\x50\x51\x52\x53\x54\x55\x56\x57",
    b"\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f",
]  # fmt: skip
CT_ROOTS = {
    1: "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    2: "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    3: "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    8: "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
}


def leaves(n: int) -> list[bytes]:
    return [leaf_hash(n.to_bytes(4, "big")) for n in range(n)]


def mth(hashes: list[bytes]) -> bytes:
    """MTH as RFC 6962 section 2.1 defines it, over leaf hashes."""
    if not hashes:
        return hashlib.sha256(b"").digest()
    if len(hashes) == 1:
        return hashes[0]
    k = split(len(hashes))
    return node_hash(mth(hashes[:k]), mth(hashes[k:]))


def split(n: int) -> int:
    k = 1
    while k * 2 < n:
        k *= 2
    return k


def path(m: int, hashes: list[bytes]) -> list[bytes]:
    """PATH, section 2.1.1."""
    if len(hashes) <= 1:
        return []
    k = split(len(hashes))
    if m < k:
        return [*path(m, hashes[:k]), mth(hashes[k:])]
    return [*path(m - k, hashes[k:]), mth(hashes[:k])]


def subproof(m: int, hashes: list[bytes], whole: bool = True) -> list[bytes]:
    """SUBPROOF, section 2.1.2."""
    if m == len(hashes):
        return [] if whole else [mth(hashes)]
    k = split(len(hashes))
    if m <= k:
        return [*subproof(m, hashes[:k], whole), mth(hashes[k:])]
    return [*subproof(m - k, hashes[k:], False), mth(hashes[:k])]


@pytest.mark.parametrize(("size", "root"), CT_ROOTS.items())
def test_the_roots_of_certificate_transparency(size: int, root: str) -> None:
    assert Tree(map(leaf_hash, CT_LEAVES[:size])).root().hex() == root


@settings(max_examples=examples(40))
@given(SIZES)
def test_roots_are_those_of_the_definition(size: int) -> None:
    hashes, frontier = leaves(size), Frontier()
    for leaf in hashes:
        frontier = frontier.then(leaf)
    tree = Tree(hashes)
    assert frontier.size == tree.size == size
    assert frontier.root() == tree.root() == mth(hashes)
    assert len(frontier.peaks) == size.bit_count()
    assert [tree.root(part) for part in range(size + 1)] == [mth(hashes[:part]) for part in range(size + 1)]
    assert [tree.leaf(index) for index in range(size)] == hashes


@settings(max_examples=examples(60))
@given(st.data())
def test_a_leaf_is_proved_and_nothing_else_is(data: st.DataObject) -> None:
    size = data.draw(st.integers(1, 130))
    index, whole = data.draw(st.integers(0, size - 1)), data.draw(st.integers(size, 140))
    hashes = leaves(whole)
    tree = Tree(hashes)
    proof, root = tree.inclusion(index, size), tree.root(size)
    assert proof == path(index, hashes[:size])
    assert verify_inclusion(hashes[index], index, size, proof, root)
    for other in {0, index - 1, index + 1, size - 1} - {index}:
        assert not verify_inclusion(hashes[index], other, size, proof, root)
        assert not 0 <= other < size or not verify_inclusion(hashes[other], index, size, proof, root)
    assert not verify_inclusion(hashes[index], index, size, [*proof, root], root)
    assert not verify_inclusion(hashes[index], index, size, proof, leaf_hash(b""))
    if proof:
        changed = data.draw(st.integers(0, len(proof) - 1))
        assert not verify_inclusion(hashes[index], index, size, proof[:changed] + proof[changed + 1 :], root)
        wrong = [*proof[:changed], bytes(32), *proof[changed + 1 :]]
        assert not verify_inclusion(hashes[index], index, size, wrong, root)


@settings(max_examples=examples(60))
@given(st.data())
def test_a_tree_that_grew_is_told_from_one_that_was_rewritten(data: st.DataObject) -> None:
    size = data.draw(st.integers(1, 130))
    old = data.draw(st.integers(1, size))
    hashes = leaves(size)
    tree = Tree(hashes)
    proof = tree.consistency(old, size)
    assert proof == subproof(old, hashes)
    assert verify_consistency(old, size, tree.root(old), tree.root(), proof)
    rewritten = Tree([*hashes[: old - 1], leaf_hash(b"other"), *hashes[old:]])
    assert not verify_consistency(old, size, tree.root(old), rewritten.root(), rewritten.consistency(old, size))
    assert not verify_consistency(old, size, tree.root(old), rewritten.root(), proof)
    assert not verify_consistency(old, size, rewritten.root(old), tree.root(), proof)
    assert not verify_consistency(old, size, tree.root(old), tree.root(), [*proof, bytes(32)])
    if proof:
        assert not verify_consistency(old, size, tree.root(old), tree.root(), proof[1:])
        assert not verify_consistency(old, size, tree.root(old), tree.root(), proof[:-1])


def test_the_edges() -> None:
    assert Frontier().root() == Tree().root() == EMPTY_ROOT
    assert not verify_inclusion(EMPTY_ROOT, 0, 0, [], EMPTY_ROOT)
    assert verify_consistency(0, 5, EMPTY_ROOT, b"", [])
    assert not verify_consistency(0, 5, b"", b"", [])
    assert not verify_consistency(6, 5, b"", b"", [])
    assert len(leaf_data(1, 2, bytes(32))) == 48
