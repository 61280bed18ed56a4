"""libnuthatch for Python: a cache of bytes by bytes inside the process, with exact memory, leases and tags.

>>> import nuthatch
>>> cache = nuthatch.Cache(memory_bytes=16 << 20)
>>> cache.set("bird", b"nuthatch", ttl=60)
>>> cache["bird"]
b'nuthatch'
"""
from nuthatch._nuthatch import Cache, Corrupt, Entry, Error, Fetched, Full, Stats, TooLarge, __version__

__all__ = ["Cache", "Corrupt", "Entry", "Error", "Fetched", "Full", "Stats", "TooLarge", "__version__"]
