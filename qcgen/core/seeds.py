"""Seeds: a bijection of (salt, position) onto uint32, so that no two pictures of a job ever share their noise.

Torch's CPU generator keeps 32 bits of a seed, so hashed 64-bit seeds would collide silently; a permutation of the 2^32
positions cannot.

Positions: bits 0-27 are the item's index, bits 28-31 the attempt less one. So a job has at most 2^28 items and an item
at most 16 attempts, and a regenerated item can take no other item's seed, whatever its attempt.
"""

import hashlib
from functools import lru_cache

ATTEMPT_BITS = 4
INDEX_BITS = 28
MAX_ITEMS = 2**INDEX_BITS
MAX_ATTEMPTS = 2**ATTEMPT_BITS

_MASK_32 = 0xFFFFFFFF
_MASK_16 = 0xFFFF


def item_seed(salt: int, index: int, attempt: int = 1) -> int:
    """Seed of an attempt at an item.

    Args:
        salt: the job's `items.seed`, 0 .. 2^32 - 1.
        index: 0 .. 2^28 - 1.
        attempt: 1 .. 16.
    """
    if not 0 <= index < MAX_ITEMS or not 1 <= attempt <= MAX_ATTEMPTS:
        raise ValueError(
            f"no seed for item {index}, attempt {attempt}: at most {MAX_ITEMS:,} items and {MAX_ATTEMPTS} attempts"
        )
    return permute(salt, index | (attempt - 1) << INDEX_BITS)


def permute(salt: int, position: int) -> int:
    """A bijection of 0 .. 2^32 - 1 for every salt: a Feistel network of four rounds over two halves of 16 bits."""
    left, right = position >> 16, position & _MASK_16
    for key in _round_keys(salt):
        left, right = right, left ^ _mix(right ^ key)
    return left << 16 | right


def _mix(word: int) -> int:
    """16 well-stirred bits of a 32-bit word (the finaliser of MurmurHash3)."""
    word = (word ^ word >> 16) * 0x85EBCA6B & _MASK_32
    word = (word ^ word >> 13) * 0xC2B2AE35 & _MASK_32
    return (word ^ word >> 16) & _MASK_16


@lru_cache(maxsize=64)
def _round_keys(salt: int) -> tuple[int, ...]:
    digest = hashlib.blake2b(salt.to_bytes(8, "big"), digest_size=16, person=b"qcgen-seeds").digest()
    return tuple(int.from_bytes(digest[start : start + 4], "big") for start in range(0, 16, 4))
