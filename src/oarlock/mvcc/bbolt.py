"""The store as a bbolt file: what etcd's Snapshot call sends, and a real etcd restores.

Format (bbolt's page.go, db.go, bucket.go; little-endian throughout). A file is pages of 4096 bytes: two metas, a
freelist, and B+trees of leaf and branch pages. An element too large for a page spans following ones, the overflow. The
root tree maps a bucket's name to the page where the bucket's own tree begins. A page starts with its number, kind,
count of elements and overflow; then come the elements' headers, then their keys and values; an element's `pos` counts
from its own header.

Pages go out in the order of their numbers, so the file can be streamed: a first pass over the view only counts pages,
because the metas, which come first, name the root, which comes last. In memory stand one leaf at a time and a key per
leaf.
"""

import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence

from oarlock.mvcc.errors import MvccError
from oarlock.mvcc.loading import APPLIED_INDEX, APPLIED_TERM, FINISHED_COMPACTION, SCHEDULED_COMPACTION
from oarlock.mvcc.view import View

PAGE_BYTES = 4096

BUCKETS = (
    "alarm",
    "auth",
    "authRoles",
    "authUsers",
    "cluster",
    "key",
    "lease",
    "members",
    "members_removed",
    "meta",
)
"""What etcd 3.4 and 3.5 expect to find; a restore deletes the members' by name and fails without them."""

_PAGE = struct.Struct("<QHHI")
_LEAF_ELEMENT = struct.Struct("<IIII")
_BRANCH_ELEMENT = struct.Struct("<IIQ")
_META = struct.Struct("<IIIIQQQQQ")
_CHECKSUM = struct.Struct("<Q")
_BUCKET = struct.Struct("<QQ")
_ELEMENT_BYTES = 16

_BRANCH, _LEAF, _METAPAGE, _FREELIST = 0x01, 0x02, 0x04, 0x10
_BUCKET_ELEMENT = 0x01
_MAGIC, _VERSION = 0xED0CDAED, 2
_FIRST_TREE_PAGE = 3

_Item = tuple[bytes, bytes]
_Child = tuple[bytes, int]
"""The first key below a page, and the page's number."""


class BboltImage:
    """A bbolt file over a view, planned when it is made and written by `pages`; both block."""

    def __init__(self, view: View, buckets: Mapping[str, Mapping[bytes, bytes]]) -> None:
        """Count the pages.

        Args:
            view: where the buckets `key` and `meta` come from; must stay open while `pages` is read.
            buckets: the content of the other buckets, by name and key; missing ones are written empty.
        """
        self._view = view
        names = sorted({*BUCKETS, *buckets}, key=str.encode)
        self._others = {name: sorted(buckets.get(name, {}).items()) for name in names if name != "key"}
        self._others["meta"] = sorted((*self._others["meta"], *_meta_items(view)))
        page = _FIRST_TREE_PAGE
        roots: list[_Item] = []
        for name in names:
            page = _count_tree(self._items(name), page)
            roots.append((name.encode(), _BUCKET.pack(page - 1, 0)))
        self._roots = roots
        self._root = page
        self.size_bytes = (page + _span(_size(roots))) * PAGE_BYTES

    def pages(self) -> Iterator[bytes]:
        """The file, a page with its overflow at a time."""
        total = self.size_bytes // PAGE_BYTES
        yield _meta_page(0, self._root, total)
        yield _meta_page(1, self._root, total)
        yield _padded(_PAGE.pack(2, _FREELIST, 0, 0))
        page = _FIRST_TREE_PAGE
        for name, _ in self._roots:
            for data in _tree(self._items(name.decode()), page):
                page += len(data) // PAGE_BYTES
                yield data
        if page != self._root:
            raise MvccError(f"the view changed: its trees end at page {page} instead of {self._root}")
        yield _leaf_page(page, self._roots, _BUCKET_ELEMENT)

    def _items(self, bucket: str) -> Iterable[_Item]:
        return self._view.records() if bucket == "key" else self._others[bucket]


def _meta_items(view: View) -> Iterator[_Item]:
    for name in (APPLIED_INDEX, APPLIED_TERM, FINISHED_COMPACTION, SCHEDULED_COMPACTION):
        if name in view.meta:
            yield name.encode(), view.meta[name]


def _count_tree(items: Iterable[_Item], page: int) -> int:
    """The first page number after a bucket's tree that begins at `page`."""
    children: list[_Child] = []
    for group in _leaf_groups(items):
        children.append((group[0][0] if group else b"", page))
        page += _span(_size(group))
    while len(children) > 1:
        children = [(group[0][0], page + level) for level, group in enumerate(_branch_groups(children))]
        page += len(children)
    return page


def _tree(items: Iterable[_Item], page: int) -> Iterator[bytes]:
    """A bucket's pages: its leaves, then each level of branches; the last page is the root."""
    children: list[_Child] = []
    for group in _leaf_groups(items):
        data = _leaf_page(page, group, 0)
        children.append((group[0][0] if group else b"", page))
        page += len(data) // PAGE_BYTES
        yield data
    while len(children) > 1:
        parents: list[_Child] = []
        for branch in _branch_groups(children):
            parents.append((branch[0][0], page))
            yield _branch_page(page, branch)
            page += 1
        children = parents


def _leaf_groups(items: Iterable[_Item]) -> Iterator[list[_Item]]:
    """Items by leaf: as many as fit a page, or one that does not; one empty leaf when there are none."""
    group: list[_Item] = []
    size = _PAGE.size
    for item in items:
        more = _ELEMENT_BYTES + len(item[0]) + len(item[1])
        if group and size + more > PAGE_BYTES:
            yield group
            group, size = [], _PAGE.size
        group.append(item)
        size += more
    yield group


def _branch_groups(children: Sequence[_Child]) -> list[list[_Child]]:
    """Children by branch page; none stands alone, as bbolt refuses to rebalance an only child."""
    groups: list[list[_Child]] = []
    size = PAGE_BYTES
    for child in children:
        more = _ELEMENT_BYTES + len(child[0])
        if size + more > PAGE_BYTES:
            groups.append([])
            size = _PAGE.size
        groups[-1].append(child)
        size += more
    if len(groups[-1]) == 1:
        groups[-1].insert(0, groups[-2].pop())
    return groups


def _size(items: Iterable[_Item]) -> int:
    return _PAGE.size + sum(_ELEMENT_BYTES + len(key) + len(value) for key, value in items)


def _span(size_bytes: int) -> int:
    """How many pages hold so many bytes."""
    return -(-size_bytes // PAGE_BYTES)


def _leaf_page(page: int, items: Sequence[_Item], flags: int) -> bytes:
    headers: list[bytes] = []
    contents: list[bytes] = []
    position = _ELEMENT_BYTES * len(items)
    for key, value in items:
        headers.append(_LEAF_ELEMENT.pack(flags, position, len(key), len(value)))
        contents += (key, value)
        position += len(key) + len(value) - _ELEMENT_BYTES
    overflow = _span(_size(items)) - 1
    return _padded(b"".join((_PAGE.pack(page, _LEAF, len(items), overflow), *headers, *contents)))


def _branch_page(page: int, children: Sequence[_Child]) -> bytes:
    headers: list[bytes] = []
    position = _ELEMENT_BYTES * len(children)
    for key, child in children:
        headers.append(_BRANCH_ELEMENT.pack(position, len(key), child))
        position += len(key) - _ELEMENT_BYTES
    keys = (key for key, _ in children)
    return _padded(b"".join((_PAGE.pack(page, _BRANCH, len(children), 0), *headers, *keys)))


def _meta_page(number: int, root: int, pages: int) -> bytes:
    """One of the two metas; bbolt trusts the valid one with the higher transaction number."""
    meta = _META.pack(_MAGIC, _VERSION, PAGE_BYTES, 0, root, 0, 2, pages, number)
    return _padded(_PAGE.pack(number, _METAPAGE, 0, 0) + meta + _CHECKSUM.pack(_fnv_1a(meta)))


def _fnv_1a(data: bytes) -> int:
    """FNV-1a, 64 bits: the checksum of a meta."""
    number = 0xCBF29CE484222325
    for byte in data:
        number = (number ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return number


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % PAGE_BYTES)
