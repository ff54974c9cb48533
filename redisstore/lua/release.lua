-- ARGV: head of the attempt's lease, the command that wakes.
if redis.call('GETRANGE', KEYS[1], 0, 53) == ARGV[1] then
  redis.call('DEL', KEYS[1])
  redis.pcall(ARGV[2], KEYS[1], '') -- last, as in commit.lua
end
return { 'released' }
