"""What the Redis server runs for one write, as one step that nobody sees the middle of."""

from __future__ import annotations

import hashlib
from typing import Any

from redis.exceptions import NoScriptError


class Script:
    """A script that runs on the server as one step."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.digest = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()

    def run(self, client: Any, keys: list[str], *values: bytes | str | int) -> Any:
        """What it returns, for *keys* and *values*."""
        try:
            return client.evalsha(self.digest, len(keys), *keys, *values)
        except NoScriptError:  # a new server, or one that was restarted
            return client.eval(self.text, len(keys), *keys, *values)


# In all scripts KEYS[1] is the set of addresses and KEYS[2] that of what expires; 2 says that the section was empty before.
PUT = Script("""
local before = redis.call('EXISTS', KEYS[1])
local expiring = redis.call('EXISTS', KEYS[2])
for i = 3, #KEYS do
  redis.call('SET', KEYS[i], ARGV[2 * i - 5])
  redis.call('ZADD', KEYS[1], 0, ARGV[2 * i - 4])
  if expiring == 1 then redis.call('ZREM', KEYS[2], ARGV[2 * i - 4]) end
end
if expiring == 1 then redis.call('PERSIST', KEYS[1]) redis.call('PERSIST', KEYS[2]) end
return 2 - before""")
# What is no text is no row: it is of no writer, and has the write id of an empty row.
_ID_OF = """
local function id_of(key)
  local found = redis.pcall('GETRANGE', key, 8, 15)
  if type(found) ~= 'table' then return found end
  if string.find(found.err, 'WRONGTYPE') then return '' end
  error(found.err)
end
"""
_SWAPPED = (
    _ID_OF
    + """
local current = id_of(KEYS[3])
local exists = redis.call('EXISTS', KEYS[3])
if ARGV[4] == '1' and exists == 1 and redis.call('GET', KEYS[3]) == ARGV[1] then return 1 end
if exists ~= tonumber(ARGV[5]) or (exists == 1 and current ~= ARGV[3]) then return 0 end
local before = redis.call('EXISTS', KEYS[1])
redis.call('SET', KEYS[3], ARGV[1])
redis.call('ZADD', KEYS[1], 0, ARGV[2])
if redis.call('EXISTS', KEYS[2]) == 1 then
  redis.call('ZREM', KEYS[2], ARGV[2])
  redis.call('PERSIST', KEYS[1])
  redis.call('PERSIST', KEYS[2])
end
"""
)
SWAP = Script(_SWAPPED + "return 2 - before")
# ARGV[1] says that it may have run before; then there are four for each row. The last answer is whether there was any row.
SWAP_MANY = Script(
    _ID_OF
    + """
local before = redis.call('EXISTS', KEYS[1])
local expiring = redis.call('EXISTS', KEYS[2])
local answers = {}
for i = 3, #KEYS do
  local blob, name, expected, there = ARGV[4 * i - 10], ARGV[4 * i - 9], ARGV[4 * i - 8], tonumber(ARGV[4 * i - 7])
  local exists = redis.call('EXISTS', KEYS[i])
  if ARGV[1] == '1' and exists == 1 and redis.call('GET', KEYS[i]) == blob then
    answers[i - 2] = 1
  elseif exists ~= there or (exists == 1 and id_of(KEYS[i]) ~= expected) then
    answers[i - 2] = 0
  else
    redis.call('SET', KEYS[i], blob)
    redis.call('ZADD', KEYS[1], 0, name)
    if expiring == 1 then
      redis.call('ZREM', KEYS[2], name)
      redis.call('PERSIST', KEYS[1])
      redis.call('PERSIST', KEYS[2])
    end
    answers[i - 2] = 1
  end
end
answers[#answers + 1] = before
return answers"""
)
DELETE = Script("""
redis.call('ZREM', KEYS[1], ARGV[1])
redis.call('ZREM', KEYS[2], ARGV[1])
return redis.call('DEL', KEYS[3])""")
DELETE_IF = Script(
    _ID_OF
    + """
if redis.call('EXISTS', KEYS[3]) == 0 or id_of(KEYS[3]) ~= ARGV[2] then return 0 end
redis.call('ZREM', KEYS[1], ARGV[1])
redis.call('ZREM', KEYS[2], ARGV[1])
return redis.call('DEL', KEYS[3])"""
)
# What is in capitals is told by the script that begins with this.
_FORGET_OVER = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
for _, address in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', now, 'LIMIT', 0, MOST)) do
  if redis.call('EXISTS', BASE .. address) == 0 then redis.call('ZREM', KEYS[1], address) end
  redis.call('ZREM', KEYS[2], address)
end
"""
# Where everything expires, the two sets go with the last row.
_LET_GO = """
if redis.call('PEXPIREAT', KEYS[3], moment) == 0 then return 0 end
redis.call('ZADD', KEYS[2], moment, ADDRESS)
if redis.call('ZCARD', KEYS[1]) == redis.call('ZCARD', KEYS[2]) then
  local last = redis.call('ZRANGE', KEYS[2], -1, -1, 'WITHSCORES')[2]
  redis.call('PEXPIREAT', KEYS[1], last)
  redis.call('PEXPIREAT', KEYS[2], last)
end
"""
# ARGV[3] is a moment by the clock of who asks, for whom it is ARGV[5] now.
EXPIRE = Script(
    _ID_OF
    + """
local BASE, ADDRESS, MOST = ARGV[1], ARGV[2], 10
if ARGV[4] ~= '' and id_of(KEYS[3]) ~= ARGV[4] then return 0 end
"""
    + _FORGET_OVER
    + "local moment = ARGV[3] - ARGV[5] + now"
    + _LET_GO
    + "return 1"
)
# After the arguments of SWAP: the milliseconds after which the row may go.
SWAP_FOR = Script(
    _SWAPPED
    + "local BASE, ADDRESS, MOST = ARGV[7], ARGV[2], 10"
    + _FORGET_OVER
    + "local moment = now + ARGV[6]"
    + _LET_GO
    + "return 2 - before"
)
COMPACT = Script(
    "local BASE, MOST = ARGV[1], ARGV[2]" + _FORGET_OVER + "return redis.call('ZCOUNT', KEYS[2], '-inf', now)"
)
CLEAR = Script("""
local addresses = redis.call('ZRANGE', KEYS[1], 0, ARGV[1] - 1)
for _, address in ipairs(addresses) do
  redis.call('UNLINK', ARGV[2] .. address)
  redis.call('ZREM', KEYS[1], address)
  redis.call('ZREM', KEYS[2], address)
end
return #addresses""")
