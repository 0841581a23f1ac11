"""What the Redis server runs for one write, as one step that nobody sees the middle of."""

# In all scripts KEYS[1] is the set of addresses and KEYS[2] that of what expires; 2 says that the section was empty before.
PUT = """
local before = redis.call('EXISTS', KEYS[1])
local expiring = redis.call('EXISTS', KEYS[2])
for i = 3, #KEYS do
  redis.call('SET', KEYS[i], ARGV[2 * i - 5])
  redis.call('ZADD', KEYS[1], 0, ARGV[2 * i - 4])
  if expiring == 1 then redis.call('ZREM', KEYS[2], ARGV[2 * i - 4]) end
end
if expiring == 1 then redis.call('PERSIST', KEYS[1]) redis.call('PERSIST', KEYS[2]) end
return 2 - before"""
SWAP = """
local current = redis.call('GETRANGE', KEYS[3], 8, 15)
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
return 2 - before"""
DELETE = """
redis.call('ZREM', KEYS[1], ARGV[1])
redis.call('ZREM', KEYS[2], ARGV[1])
return redis.call('DEL', KEYS[3])"""
_FORGET_OVER = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
for _, address in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', now, 'LIMIT', 0, ARGV[1])) do
  if redis.call('EXISTS', ARGV[2] .. address) == 0 then redis.call('ZREM', KEYS[1], address) end
  redis.call('ZREM', KEYS[2], address)
end
"""
# ARGV[4] is a moment by the clock of who asks, for whom it is ARGV[6] now. Where everything expires, the two sets go with the
# last row.
EXPIRE = (
    _FORGET_OVER
    + """
if ARGV[5] ~= '' and redis.call('GETRANGE', KEYS[3], 8, 15) ~= ARGV[5] then return 0 end
local moment = ARGV[4] - ARGV[6] + now
if redis.call('PEXPIREAT', KEYS[3], moment) == 0 then return 0 end
redis.call('ZADD', KEYS[2], moment, ARGV[3])
if redis.call('ZCARD', KEYS[1]) == redis.call('ZCARD', KEYS[2]) then
  local last = redis.call('ZRANGE', KEYS[2], -1, -1, 'WITHSCORES')[2]
  redis.call('PEXPIREAT', KEYS[1], last)
  redis.call('PEXPIREAT', KEYS[2], last)
end
return 1"""
)
COMPACT = _FORGET_OVER + "return redis.call('ZCOUNT', KEYS[2], '-inf', now)"
CLEAR = """
local addresses = redis.call('ZRANGE', KEYS[1], 0, ARGV[1] - 1)
for _, address in ipairs(addresses) do
  redis.call('UNLINK', ARGV[2] .. address)
  redis.call('ZREM', KEYS[1], address)
  redis.call('ZREM', KEYS[2], address)
end
return #addresses"""
