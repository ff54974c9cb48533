-- ARGV: attempt id, the command that wakes.
local r = look(KEYS[1])
if r and r.state == 'L' and r.attempt == ARGV[1] then
  redis.call('DEL', KEYS[1])
  wake(ARGV[2], KEYS[1])
end
return { 'released' }
