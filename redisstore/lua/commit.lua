-- ARGV: record of the attempt's lease as it was written, TTL in milliseconds, for
-- how many microseconds after it the key is remembered, attempt id and length and
-- hash and response, the command that wakes.
--
-- Almost every call finds the lease as it was written, and records a response that
-- is not to be remembered: what is not needed for that comes after it.
local kept = redis.call('GET', KEYS[1])
-- Whoever waits for the end of a lease elsewhere has left a mark in it before.
local watched = kept ~= ARGV[1]
-- A lease that has ended is still its owner's as long as nobody took it over.
if not watched or kept and string.sub(kept, 1, 54) == string.sub(ARGV[1], 1, 54) then
  local t = redis.call('TIME')
  local now = t[1] * 1000000 + t[2]
  if ARGV[3] == '0' then
    -- The key's end is the record's: the head has a time that never comes.
    redis.call('SET', KEYS[1], '\1C\0\31\255\255\255\255\255\255' .. struct.pack('>I8', now) .. ARGV[4], 'PX', ARGV[2])
  else
    -- A key is there in the whole of the millisecond that its PXAT names, and gone
    -- in the next, so that it goes at the very moment that stands in the head.
    local ends = (math.ceil(now / 1000) + ARGV[2]) * 1000
    local goes = math.ceil((ends + ARGV[3]) / 1000)
    redis.call('SET', KEYS[1], '\1R' .. struct.pack('>I8I8', ends, now) .. string.sub(ARGV[4], 1, 36)
      .. struct.pack('>I8', goes * 1000) .. string.sub(ARGV[4], 37), 'PXAT', goes - 1)
  end
  -- The channel has the key's own name, so that it lies in the key's slot. It
  -- comes last and may fail: an ACL may refuse it, what was written is not rolled
  -- back, and waiters poll.
  if watched then
    redis.pcall(ARGV[5], KEYS[1], '')
  end
  return now
end
if not kept then
  return { 'nothing' }
end
