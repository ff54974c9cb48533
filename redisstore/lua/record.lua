-- What all scripts know of a record. It is one string: a head of fixed length,
-- then the length of the request hash (4 bytes), the hash, and what Go encodes of
-- a response. Numbers are unsigned, most significant byte first; times are
-- microseconds of the server's clock.
--
--    1     version of the format
--    2     state: L leased, C completed
--    3-10  when the lease ends, or the completed record expires
--   11-18  when the lease was reserved, or the record completed
--   19-54  attempt id
local HEAD = 54
local VERSION = 1

local function clock()
  local t = redis.call('TIME')
  return t[1] * 1000000 + t[2]
end

local function head(state, ends, at, attempt)
  return string.char(VERSION) .. state .. struct.pack('>I8I8', ends, at) .. attempt
end

-- Returns nil if there is no record.
local function look(key)
  local h = redis.call('GETRANGE', key, 0, HEAD - 1)
  if #h == 0 then
    return nil
  end
  local state = string.sub(h, 2, 2)
  if #h < HEAD or string.byte(h, 1) ~= VERSION or (state ~= 'L' and state ~= 'C') then
    return { unreadable = true }
  end
  return { state = state, ends = struct.unpack('>I8', h, 3), attempt = string.sub(h, 19, HEAD) }
end

local function hash_of(key)
  local length = redis.call('GETRANGE', key, HEAD, HEAD + 3)
  if #length < 4 then
    return ''
  end
  return redis.call('GETRANGE', key, HEAD + 4, HEAD + 3 + struct.unpack('>I4', length))
end

-- The channel has the key's own name, so that it lies in the key's slot. It comes
-- last in a script and may fail: an ACL may refuse it, what was written is not
-- rolled back, and waiters poll.
local function wake(publish, key)
  redis.pcall(publish, key, '')
end
