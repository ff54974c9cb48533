-- What the scripts know of a record. It is one string: a head of fixed length,
-- then the length of the request hash (4 bytes), the hash, and what Go encodes of
-- a response. Numbers are unsigned, most significant byte first; times are
-- microseconds of the server's clock.
--
--    1     version of the format
--    2     state: L leased, C completed, R completed and to be remembered,
--          T tombstone
--    3-10  when the completed record expires, or the tombstone is forgotten
--   11-18  when the record completed, or the tombstone was made
--   19-54  attempt id
--   55-62  in state R alone: when the key is forgotten
--
-- A lease has zeros for both times, so that a plain SET can write it, which does
-- not know the server's clock: it has ended when its key has no longer to live
-- than an ended lease is kept. One byte more than its hash says that somebody waits
-- for its end.
--
-- The key of a record in state C goes when the record expires, and the time in its
-- head is one that never comes: what a plain command still finds in that state is
-- to be replayed.
--
-- Whoever does not know a state refuses the record, as one of another version.
local HEAD = 54
local VERSION = 1

-- How many bytes stand before the request hash's length.
local BEFORE_TAIL = { L = HEAD, C = HEAD, R = HEAD + 8, T = HEAD }

local function clock()
  local t = redis.call('TIME')
  return t[1] * 1000000 + t[2]
end

local function head(state, ends, at, attempt)
  return string.char(VERSION) .. state .. struct.pack('>I8I8', ends, at) .. attempt
end

-- Returns nil if there is no record.
local function look(key)
  local h = redis.call('GETRANGE', key, 0, HEAD + 7)
  if #h == 0 then
    return nil
  end
  local state = string.sub(h, 2, 2)
  local tail = BEFORE_TAIL[state]
  if not tail or #h < tail or string.byte(h, 1) ~= VERSION then
    return { unreadable = true }
  end
  local r = { state = state, tail = tail, ends = struct.unpack('>I8', h, 3), attempt = string.sub(h, 19, HEAD) }
  if state == 'R' then
    r.forgotten = struct.unpack('>I8', h, HEAD + 1)
  end
  return r
end

local function replays(r, now)
  return (r.state == 'C' or r.state == 'R') and now < r.ends
end

-- Tells whether nothing but the key and its hash counts any more.
local function only_remembered(r, now)
  return (r.state == 'T' and now < r.ends) or (r.state == 'R' and now >= r.ends and now < r.forgotten)
end

-- Returns the request hash with its length before it, or nil if it is cut short.
local function tail_of(key, r)
  local length = redis.call('GETRANGE', key, r.tail, r.tail + 3)
  if #length < 4 then
    return nil
  end
  local size = 4 + struct.unpack('>I4', length)
  local tail = redis.call('GETRANGE', key, r.tail, r.tail + size - 1)
  return #tail == size and tail or nil
end

local function hash_of(key, r)
  local tail = tail_of(key, r)
  return tail and string.sub(tail, 5)
end
