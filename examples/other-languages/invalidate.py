"""Invalidates tags that larder's functions carry: python3 invalidate.py REDIS_URL PREFIX TAG...

A part of a tag's path is a word; parts are joined by slashes: `users`, `user/7`. Needs `pip install redis xxhash`.
"""
import pathlib
import re
import sys

import redis
import xxhash

SCRIPTS = pathlib.Path(__file__).resolve().parents[2] / "cache-redis/src/scripts"
EVERYTHING = 0x2A2A2A2A6C617264


def tag_id(*parts):
    tag = 0x74616700
    for part in parts:
        tag = xxhash.xxh3_64_intdigest(str(part).encode(), seed=tag)
    return tag


def invalidate(client, prefix, tags, database=0):
    prefix = re.sub(rb"[^A-Za-z0-9._/-]", lambda byte: b"%%%02X" % ord(byte[0]), prefix.encode()).decode()
    base = f"{prefix}:{{t:{prefix}}}:"
    keys = [base + "clock"] + [base + f"{tag % 256:02x}" for tag in tags]
    field = lambda tag: tag.to_bytes(8, "little")
    settings = [0, f"{prefix}:bus:{database}", field(EVERYTHING), 500, "python", 1, ""]
    script = (SCRIPTS / "clock.lua").read_text() + (SCRIPTS / "invalidate.lua").read_text()
    client.eval(script, len(keys), *keys, *settings, *map(field, tags))


if __name__ == "__main__":
    url, prefix, *tags = sys.argv[1:]
    invalidate(redis.Redis.from_url(url), prefix, [tag_id(*tag.split("/")) for tag in tags])
