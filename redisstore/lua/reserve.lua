-- ARGV: attempt id, milliseconds until the key goes, for how many of them it is
-- there after the lease, the record of the lease, 1 if the caller will wait for a
-- message.

-- What marks a lease stands behind its record, where whoever does not know it
-- overlooks it.
local WATCHED = 'W'

-- Makes the Commit of a lease publish. A waiter that runs this has its subscription
-- already. A Commit that came before is what this call answers with, and one that
-- comes after finds the mark and publishes: nothing can come between the look and
-- the mark. Nobody depends on that, and a server whose memory is full may refuse
-- it: then the waiter polls.
local function watch(key, r, record)
  local tail = tail_of(key, r)
  if tail and #record == r.tail + #tail then
    redis.pcall('SET', key, record .. WATCHED, 'KEEPTTL')
  end
end

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
  return { 'expired', string.sub(tail, 5), (r.forgotten or r.ends) - now }
end
if r and r.state == 'L' then
  r.ends = now + (redis.call('PTTL', KEYS[1]) - ARGV[3]) * 1000
end
-- The instant of expiry counts as expired. An attempt's own lease is the trace of
-- a call whose reply was lost.
if r and now < r.ends and (r.state ~= 'L' or r.attempt ~= ARGV[1]) then
  local record = redis.call('GET', KEYS[1])
  if r.state == 'L' and ARGV[5] == '1' then
    watch(KEYS[1], r, record)
  end
  -- In state C only the key knows when it expires.
  local left = r.state == 'C' and redis.call('PTTL', KEYS[1]) * 1000 or r.ends - now
  return { 'held', record, left }
end
-- Whoever waits for the end of the lease that was here does not know that it has
-- changed hands, and is to be told of the end of this one.
local mark = r and r.state == 'L' and WATCHED or ''
local mine = r and r.state == 'L' and r.attempt == ARGV[1]
redis.call('SET', KEYS[1], ARGV[4] .. mark, 'PX', ARGV[2])
return { mine and 'own' or 'fresh' }
