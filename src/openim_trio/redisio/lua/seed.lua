-- KEYS  hashes, one a conversation
-- ARGV  idle seconds; for each conversation: ticket, n, tn, lo, tlo, ta, number of rows, then for
--       each row its key and entry; number of channels, channels, payload (the head)
-- Answer: inc; for each conversation 1 (seeded) or 0 (somebody else was first).

local at = 2
local answers = {inc}

for i = 1, #KEYS do
  local hash, ticket, lo, rows = KEYS[i], ARGV[at], tonumber(ARGV[at + 3]), tonumber(ARGV[at + 6])
  local n, tn, tlo, ta = ARGV[at + 1], ARGV[at + 2], ARGV[at + 4], ARGV[at + 5]
  local first_row = at + 7
  local channels = tonumber(ARGV[first_row + 2 * rows])
  local first_channel = first_row + 2 * rows + 1
  local f = redis.call('HMGET', hash, 'inc', 'n', 'tk')
  answers[i + 1] = 0
  -- C7: only while it is still unknown.  C8: and only for the "unknown" that gave out this ticket.
  if f[1] == inc and not f[2] and f[3] == ticket then
    local set = {}
    for j = 1, rows do
      local key = ARGV[first_row + 2 * j - 2]
      set[4 * j - 3], set[4 * j - 2] = 'k:' .. key, ARGV[first_row + 2 * j - 1]
      set[4 * j - 1], set[4 * j] = 's:' .. digits(lo + j - 1), key
    end
    write_many('HSET', hash, set)
    -- C5: lo says from where on the keys are known.
    redis.call('HSET', hash, 'n', n, 'tn', tn, 'lo', digits(lo), 'tlo', tlo, 'ta', ta)
    redis.call('HDEL', hash, 'tk')
    redis.call('EXPIRE', hash, ARGV[1])
    -- C9: whoever stored rows and lost Redis before it could advance has not published them.
    for c = 0, channels - 1 do
      redis.call('PUBLISH', ARGV[first_channel + c], ARGV[first_channel + channels])
    end
    answers[i + 1] = 1
  end
  at = first_channel + channels + 1
end

return answers
