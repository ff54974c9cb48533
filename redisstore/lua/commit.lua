-- ARGV: attempt id, TTL, milliseconds until the key goes, length and hash and
-- response, the command that wakes, for how long after the TTL the key is
-- remembered.
local now = clock()
local r = look(KEYS[1])
if not r then
  return { 'nothing' }
end
if r.unreadable then
  return { 'unreadable' }
end
if replays(r, now) then
  return { 'completed', hash_of(KEYS[1], r) or '', r.attempt }
end
-- A lease that has ended is still its owner's as long as nobody took it over.
if r.state ~= 'L' or r.attempt ~= ARGV[1] then
  return { 'lost' }
end
local ends, remember = now + ARGV[2], tonumber(ARGV[6])
local before = head('C', ends, now, ARGV[1])
if remember > 0 then
  before = head('R', ends, now, ARGV[1]) .. struct.pack('>I8', ends + remember)
end
redis.call('SET', KEYS[1], before .. ARGV[4], 'PX', ARGV[3])
wake(ARGV[5], KEYS[1])
return { 'committed', now }
