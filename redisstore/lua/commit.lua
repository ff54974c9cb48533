-- ARGV: attempt id, TTL, milliseconds until the key goes, length and hash and
-- response, the command that wakes.
local now = clock()
local r = look(KEYS[1])
if not r then
  return { 'nothing' }
end
if r.unreadable then
  return { 'unreadable' }
end
if r.state == 'C' and now < r.ends then
  return { 'completed', hash_of(KEYS[1]), r.attempt }
end
-- A lease that has ended is still its owner's as long as nobody took it over.
if r.state == 'C' or r.attempt ~= ARGV[1] then
  return { 'lost' }
end
redis.call('SET', KEYS[1], head('C', now + ARGV[2], now, ARGV[1]) .. ARGV[4], 'PX', ARGV[3])
wake(ARGV[5], KEYS[1])
return { 'committed', now }
