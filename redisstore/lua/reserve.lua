-- ARGV: attempt id, lease, milliseconds until the key goes, length and hash.
local now = clock()
local r = look(KEYS[1])
if r and r.unreadable then
  return { 'unreadable' }
end
-- The instant of expiry counts as expired. An attempt's own lease is the trace of
-- a call whose reply was lost.
if r and now < r.ends and (r.state == 'C' or r.attempt ~= ARGV[1]) then
  return { 'held', redis.call('GET', KEYS[1]), r.ends - now }
end
redis.call('SET', KEYS[1], head('L', now + ARGV[2], now, ARGV[1]) .. ARGV[4], 'PX', ARGV[3])
return { 'fresh' }
