"""Near rows against brute force."""

import numpy as np
import numpy.typing as npt
import pytest
import torch

from qcgen.qc.fingerprint import Traits, fingerprints, read_hashes, read_traits
from qcgen.qc.near import AGREEMENT, Near, find_near
from qcgen.qc.nearsearch import Buckets, Nearest, distance
from qcgen.qc.phases import NONE, agree
from qcgen.qc.phases import mirrored as mirrored_codes
from tests.qc.copies import garments, mirrored, moved, scenes


def _brute_force(packed: npt.NDArray[np.uint64], limit: int) -> dict[int, Near]:
    clean: list[int] = []
    near: dict[int, Near] = {}
    for i, row in enumerate(packed):
        bits = np.bitwise_count(packed[clean] ^ row).sum(1) if clean else np.zeros(0)
        if len(bits) and bits.min() <= limit:
            near[i] = Near(clean[int(bits.argmin())], bits=int(bits.min()))
        else:
            clean.append(i)
    return near


def _clustered(n: int, centres: int, flips: float, seed: int) -> npt.NDArray[np.uint64]:
    rng = np.random.default_rng(seed)
    middle = rng.random((centres, 256)) < 0.5
    bits = middle[rng.integers(0, centres, n)] ^ (rng.random((n, 256)) < flips)
    return np.packbits(bits, axis=1).view(np.uint64)


@pytest.mark.parametrize(
    ("centres", "flips", "limit"), [(2000, 0.0, 0), (300, 0.05, 24), (1, 0.06, 24), (40, 0.1, 40), (3000, 0.04, 15)]
)
def test_near_rows_are_those_of_brute_force(centres: int, flips: float, limit: int) -> None:
    packed = _clustered(2500, centres, flips, seed=limit)
    expected = _brute_force(packed, limit)
    assert expected
    assert find_near(packed, limit) == expected


def _copied() -> tuple[list[str], int]:
    """Originals, then every kind of copy of all of them."""
    images = torch.cat([scenes(12), garments(12)])
    # 2.3 % of the side.
    shifted = moved(images, down=3, right=-3)
    kinds = [images, shifted, mirrored(images), mirrored(shifted)]
    return fingerprints(torch.cat(kinds)), len(images)


def test_copies_are_found_and_their_relation_is_told() -> None:
    prints, n = _copied()
    found = find_near(read_hashes(prints), 4, read_traits(prints))
    assert {row: one.place for row, one in found.items()} == {row: row % n for row in range(n, 4 * n)}
    relations = [[found[kind * n + i].relation for i in range(n)] for kind in (1, 2, 3)]
    assert relations == [["shifted"] * n, ["mirrored"] * n, ["mirrored, shifted"] * n]
    moves = [found[n + i] for i in range(n)]
    assert all(one.bits is None and 0.01 < one.down < 0.04 and -0.04 < one.right < -0.01 for one in moves)
    # A moved picture that is then mirrored lies on the other side.
    assert all(0.01 < found[3 * n + i].down < 0.04 and 0.01 < found[3 * n + i].right < 0.04 for i in range(n))


def test_what_agrees_is_what_brute_force_over_all_shifts_finds_in_one_block_and_over_many() -> None:
    prints, n = _copied()
    codes = read_traits(prints).codes
    grey = np.zeros((len(codes) + 1100, 2))
    clean: list[int] = []
    expected = {}
    for i in range(len(codes)):
        best = -1.0
        for turned in (codes, mirrored_codes(codes)):
            share = agree(turned[[i] * len(clean)], codes[clean]).share
            if len(share) and share.max() > best:
                best, place = share.max(), clean[int(share.argmax())]
        if best >= AGREEMENT:
            expected[i] = place
        else:
            clean.append(i)
    assert len(expected) == 3 * n
    # Hashes far from each other, so that the phases alone decide.
    rng = np.random.default_rng(3)
    filler = rng.integers(0, 15, (1100, codes.shape[1])).astype(np.uint8)
    hashes = rng.integers(0, 2**63, (len(codes) + len(filler), 4)).astype(np.uint64)
    assert {
        i: one.place for i, one in find_near(hashes[: len(codes)], 24, Traits(codes, grey[: len(codes)])).items()
    } == expected
    apart = np.concatenate([codes[:n], filler, codes[n:]])
    shifted = {i + len(filler): place for i, place in expected.items()}
    assert {i: one.place for i, one in find_near(hashes, 24, Traits(apart, grey)).items()} == shifted


def test_no_neighbour_is_near_to_another_itself() -> None:
    images = scenes(3)
    steps = [moved(images, down=0, right=2 * step) for step in range(8)]
    prints = fingerprints(torch.cat([one for step in steps for one in (step, mirrored(step))]))
    found = find_near(read_hashes(prints), 24, read_traits(prints))
    assert len(found) > 24
    assert not {one.place for one in found.values()} & set(found)


def test_a_picture_that_is_its_own_mirror_image_is_called_shifted_alone() -> None:
    half = scenes(4, side=128)[..., :64]
    whole = torch.cat([half, half.flip(-1)], dim=-1)
    prints = fingerprints(torch.cat([whole, moved(whole, down=3, right=0)]))
    found = find_near(read_hashes(prints), 0, read_traits(prints))
    assert [found[row].relation for row in range(4, 8)] == ["shifted"] * 4


def test_rows_without_phases_are_near_by_their_hashes_alone() -> None:
    prints, n = _copied()
    hashes, traits = read_hashes(prints), read_traits(prints)
    traits.codes[: 2 * n] = NONE
    found = find_near(hashes, 4, traits)
    # The mirrored copies of what has no phases are new; their moved ones are found by them.
    assert {row: one.place for row, one in found.items()} == {row: row - n for row in range(3 * n, 4 * n)}
    traits.codes[:] = NONE
    assert find_near(hashes, 4) == find_near(hashes, 4, traits) == _brute_force(hashes, 4)


def test_the_same_cut_in_another_colour_is_another_product() -> None:
    images = garments(4)
    red = images.clone()
    red[:, 1:] = torch.where(images[:, 1:] < 250, images[:, 1:] // 6, images[:, 1:])
    moved_red, brighter = moved(red, down=2, right=1), (red.float() * 1.15).clamp(0, 255).to(torch.uint8)
    prints = fingerprints(torch.cat([images, red, moved_red, mirrored(brighter)]))
    hashes = np.random.default_rng(2).integers(0, 2**63, (16, 4)).astype(np.uint64)
    found = find_near(hashes, 4, read_traits(prints))
    assert {row: one.place for row, one in found.items()} == {row: 4 + row % 4 for row in range(8, 16)}


def test_the_agreement_asked_for_decides() -> None:
    prints, n = _copied()
    hashes, traits = read_hashes(prints), read_traits(prints)
    strict = find_near(hashes, 0, traits, agreement=0.995)
    # The moved copies are new now, and the mirrored moved ones are copies of these.
    assert {row: one.place for row, one in strict.items()} == {row: row - 2 * n for row in range(2 * n, 4 * n)}
    assert {one.relation for one in strict.values()} == {"mirrored"}
    assert len(find_near(hashes, 0, traits)) == 3 * n


def _alike(n: int) -> Traits:
    """One cut in one colour, and a print of its own for each: the phases agree to 0.75 or so."""
    rng = np.random.default_rng(8)
    turns = rng.choice(5, (n, 220), p=(0.15, 0.2, 0.3, 0.2, 0.15))
    return Traits(((rng.integers(0, 15, 220) + turns) % 15).astype(np.uint8), np.zeros((n, 2)))


def test_among_many_that_are_alike_and_not_near_copies_are_found() -> None:
    # Over one block of rows, so that both the search within a block and that among earlier ones count.
    traits, copies = _alike(1040), 40
    codes = np.concatenate([traits.codes, mirrored_codes(traits.codes[:copies]), traits.codes[:copies]])
    hashes = np.random.default_rng(4).integers(0, 2**63, (len(codes), 4)).astype(np.uint64)
    found = find_near(hashes, 24, Traits(codes, np.zeros((len(codes), 2))))
    assert {row: one.place for row, one in found.items()} == {1040 + i: i % copies for i in range(2 * copies)}
    assert [found[1040 + i].mirrored for i in range(2 * copies)] == [True] * copies + [False] * copies


def test_rows_that_meet_more_often_than_there_are_pairs_are_all_compared_once_more_at_most() -> None:
    rng = np.random.default_rng(5)
    words = np.packbits(rng.random((600, 256)) < 0.01, axis=1).view(np.uint64)
    asked, indexed = np.arange(400, 600), np.arange(400)
    pairs = [np.stack(one[:2], axis=1) for one in Buckets(words, flips=1).near(asked, indexed, limit_bits=256)]
    assert sum(map(len, pairs)) <= 2 * len(asked) * len(indexed)
    assert len(np.unique(np.concatenate(pairs), axis=0)) == len(asked) * len(indexed)


def test_the_nearest_are_kept_each_once_and_of_equals_the_earliest() -> None:
    packed = _clustered(300, 4, 0.03, seed=1)
    nearest = Nearest(len(packed), bits=257, most=5)
    queries, found = (one.ravel() for one in np.meshgrid(np.arange(200, 300), np.arange(200), indexing="ij"))
    order = np.random.default_rng(6).permutation(len(queries))
    # Parts that overlap, in no order.
    for part in (order[:9000], order[5000:], order[:100]):
        nearest.add(queries[part], found[part], distance(packed[queries[part]], packed[found[part]]))
    bits = {row: distance(packed[row], packed[:200]) for row in range(200, 300)}
    expected = [[row, int(k), int(bits[row][k])] for row in bits for k in np.argsort(bits[row], kind="stable")[:5]]
    assert nearest.hits().tolist() == expected
