-- ARGV: head of the attempt's lease, TTL, for how long after it the key is
-- remembered, length and hash and response, the command that wakes.
local h = redis.call('GETRANGE', KEYS[1], 0, 53)
-- A lease that has ended is still its owner's as long as nobody took it over.
if h == ARGV[1] then
  local t = redis.call('TIME')
  local now = t[1] * 1000000 + t[2]
  local remember = tonumber(ARGV[3])
  -- A key is there in the whole of the millisecond that its PXAT names, and gone
  -- in the next, so that it goes at the very moment that stands in the head.
  local goes = math.ceil((now + ARGV[2]) / 1000)
  local head = '\1C' .. struct.pack('>I8I8', goes * 1000, now) .. string.sub(h, 19)
  if remember > 0 then
    local ends = goes * 1000
    goes = math.ceil((ends + remember) / 1000)
    head = '\1R' .. struct.pack('>I8I8', ends, now) .. string.sub(h, 19) .. struct.pack('>I8', goes * 1000)
  end
  redis.call('SET', KEYS[1], head .. ARGV[4], 'PXAT', goes - 1)
  -- The channel has the key's own name, so that it lies in the key's slot. It
  -- comes last and may fail: an ACL may refuse it, what was written is not rolled
  -- back, and waiters poll.
  redis.pcall(ARGV[5], KEYS[1], '')
  return { 'committed', now }
end
if #h == 0 then
  return { 'nothing' }
end
