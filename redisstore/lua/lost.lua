-- Why there was nothing to commit. It follows commit.lua and record.lua.
local r = look(KEYS[1])
if r.unreadable then
  return { 'unreadable' }
end
if replays(r, clock()) then
  return { 'completed', hash_of(KEYS[1], r) or '', r.attempt }
end
return { 'lost' }
