-- KEYS  hashes, one a conversation
-- ARGV  token, window rows, window ms, idle seconds, ticket, ticket seconds; for each conversation:
--       size (arguments that follow), first seq, then for each row: key, entry, number of channels,
--       channels, payload
-- Answer: inc; for each conversation {0, ticket}, {1, n} (all up to n is visible) or {2, n} (behind).

local token, window, idle = ARGV[1], tonumber(ARGV[2]), ARGV[4]
local ticket, ticket_seconds = ARGV[5], ARGV[6]
local now = now_ms()
local oldest = now - tonumber(ARGV[3])
-- Rows leave in groups, so that most calls need not look at all.
local slack_rows, slack_ms = math.floor(window / 16), math.floor(tonumber(ARGV[3]) / 16)

local function entry_times(entry)
  local sent, created = string.match(entry, '^%d+ %d+ (%-?%d+) (%-?%d+) ')
  return tonumber(sent), tonumber(created)
end

-- Drop rows lo, lo+1, … that are too many or too old, at most `budget` of them (C4: tlo follows).
-- Returns false when the map is not whole.
local function trim(hash, n, lo, tlo, budget)
  local first = n - window + slack_rows + 1  -- rows below it are too many
  local drop, ta, done = {}, 0, false
  while not done and lo <= n and budget > 0 do
    local size = math.min(math.max(first - lo + 1, 16), budget + 1, n - lo + 1, CHUNK)
    local fields = {}
    for j = 1, size do fields[j] = 's:' .. digits(lo + j - 1) end
    local keys = redis.call('HMGET', hash, unpack(fields))
    for j = 1, size do fields[j] = 'k:' .. (keys[j] or '') end
    local entries = redis.call('HMGET', hash, unpack(fields))
    for j = 1, size do
      if not entries[j] then return false end
      local sent, created = entry_times(entries[j])
      ta = sent
      if budget == 0 or (lo >= first and sent >= oldest) then done = true break end
      tlo = math.max(tlo, created)
      drop[#drop + 1] = 's:' .. digits(lo)
      drop[#drop + 1] = fields[j]
      lo = lo + 1
      budget = budget - 1
    end
  end
  write_many('HDEL', hash, drop)
  redis.call('HSET', hash, 'lo', digits(lo), 'tlo', digits(tlo), 'ta', digits(ta))
  return true
end

-- Move n over the rows above it, remember their keys, publish them.
local function append(hash, f, n, first, at, upto)
  local set, publish = {}, {}
  local s, added, sent = first - 1, 0, nil
  while at <= upto do
    local channels = tonumber(ARGV[at + 2])
    s = s + 1
    if s > n + added then
      local key, entry = ARGV[at], ARGV[at + 1]
      sent = entry_times(entry)
      added = added + 1
      set[4 * added - 3], set[4 * added - 2] = 'k:' .. key, entry
      set[4 * added - 1], set[4 * added] = 's:' .. digits(s), key
      for c = 1, channels do
        publish[#publish + 1] = at + 2 + c
        publish[#publish + 1] = at + 3 + channels
      end
    end
    at = at + 4 + channels
  end
  if added > 0 then
    n = n + added
    for _, value in ipairs({'n', digits(n), 'tn', digits(sent), 'ta', f[6]}) do
      set[#set + 1] = value
    end
    write_many('HSET', hash, set)
    -- In the same call, so publication order is seq order whichever worker calls.
    for p = 1, #publish, 2 do
      redis.call('PUBLISH', ARGV[publish[p]], ARGV[publish[p + 1]])
    end
    local lo = tonumber(f[4])
    if n - lo + 1 > window or tonumber(f[6]) < oldest - slack_ms then
      if not trim(hash, n, lo, tonumber(f[5]), 2 * added + 64) then
        redis.call('DEL', hash)  -- not whole: unknown
        return n
      end
    end
  end
  if f[3] == token then redis.call('HDEL', hash, 'lt', 'lu') end
  redis.call('EXPIRE', hash, idle)
  return n
end

local at = 7
local answers = {inc}
for i = 1, #KEYS do
  local hash, size, first = KEYS[i], tonumber(ARGV[at]), tonumber(ARGV[at + 1])
  local f = redis.call('HMGET', hash, 'inc', 'n', 'lt', 'lo', 'tlo', 'ta')
  if not is_known(hash, f[1], f[2]) then
    answers[i + 1] = unknown(hash, ticket, ticket_seconds)
  else
    local n = tonumber(f[2])
    if n < first - 1 then
      answers[i + 1] = {BEHIND, n}  -- C2: an advance never jumps over rows it was not told of
    else
      answers[i + 1] = {FACTS, append(hash, f, n, first, at + 2, at + size)}
    end
  end
  at = at + 1 + size
end

return answers
