-- ARGV: head of the attempt's lease, milliseconds until the key goes.
local h = redis.call('GETRANGE', KEYS[1], 0, 53)
if h == ARGV[1] then
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
  return { 'renewed' }
end
-- The attempt may have completed meanwhile.
if string.byte(h, 1) == 1 and string.sub(h, 19) == string.sub(ARGV[1], 19) then
  return { 'renewed' }
end
return { 'lost' }
