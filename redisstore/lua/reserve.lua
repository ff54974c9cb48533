-- ARGV: attempt id, milliseconds until the key goes, for how many of them it is
-- there after the lease, the record of the lease.
local now = clock()
local r = look(KEYS[1])
if r and r.unreadable then
  return { 'unreadable' }
end
if r and only_remembered(r, now) then
  local tail = tail_of(KEYS[1], r)
  if not tail then
    return { 'unreadable' }
  end
  -- The response goes when the first caller finds its record ended: a key of its
  -- own, which could end earlier, would lie in another slot of a Cluster. Nobody
  -- depends on that, and a server whose memory is full may refuse it.
  if r.state == 'R' then
    redis.pcall('SET', KEYS[1], head('T', r.forgotten, now, r.attempt) .. tail, 'KEEPTTL')
  end
  return { 'expired', string.sub(tail, 5) }
end
if r and r.state == 'L' then
  r.ends = now + (redis.call('PTTL', KEYS[1]) - ARGV[3]) * 1000
end
-- The instant of expiry counts as expired. An attempt's own lease is the trace of
-- a call whose reply was lost.
if r and now < r.ends and (r.state ~= 'L' or r.attempt ~= ARGV[1]) then
  return { 'held', redis.call('GET', KEYS[1]), r.ends - now }
end
redis.call('SET', KEYS[1], ARGV[4], 'PX', ARGV[2])
return { 'fresh' }
