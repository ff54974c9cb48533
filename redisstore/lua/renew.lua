-- ARGV: attempt id, lease, milliseconds until the key goes.
local now = clock()
local r = look(KEYS[1])
if not r or r.unreadable or r.attempt ~= ARGV[1] then
  return { 'lost' }
end
if r.state == 'L' then
  redis.call('SETRANGE', KEYS[1], 2, struct.pack('>I8', now + ARGV[2]))
  redis.call('PEXPIRE', KEYS[1], ARGV[3])
end
return { 'renewed' }
