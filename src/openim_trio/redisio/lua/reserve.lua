-- KEYS  hashes, one a conversation
-- ARGV  token, lease ms, ticket, ticket seconds; for each conversation: count, then count times
--       key, createTime, u (rows 1..u were looked through for this key)
-- Answer: inc; for each conversation {0, ticket} or {1, n, sendTime, busy, states} where a state is
--       the map's entry (known), 0 (new) or 1 (old: look it up).

local token, lease, ticket, ticket_seconds = ARGV[1], tonumber(ARGV[2]), ARGV[3], ARGV[4]
local now = now_ms()
local at = 5
local answers = {inc}

for i = 1, #KEYS do
  local hash, count = KEYS[i], tonumber(ARGV[at])
  local fields = {'inc', 'n', 'tn', 'lo', 'tlo', 'lt', 'lu'}
  local facts = #fields
  for j = 1, count do
    fields[facts + j] = 'k:' .. ARGV[at + 3 * j - 2]
  end
  local f = get_many(hash, fields)
  if not is_known(hash, f[1], f[2]) then
    answers[i + 1] = unknown(hash, ticket, ticket_seconds)
  else
    local n, below, tlo = tonumber(f[2]), tonumber(f[4]) - 1, tonumber(f[5])
    local states, any_new = {}, false
    for j = 1, count do
      local entry = f[facts + j]
      local created, looked = tonumber(ARGV[at + 3 * j - 1]), tonumber(ARGV[at + 3 * j])
      if entry then
        states[j] = entry
      elseif created <= tlo and looked < below then
        -- C4: too old to be surely new, and the look-up (if any) ended below what the window
        -- covers now; tested here, where the window cannot move meanwhile.
        states[j] = 1
      else
        states[j] = 0
        any_new = true
      end
    end
    local busy = 0
    if any_new then
      if f[6] and f[6] ~= token and tonumber(f[7]) > now then
        busy = 1
      else
        redis.call('HSET', hash, 'lt', token, 'lu', digits(now + lease))
      end
    end
    answers[i + 1] = {FACTS, n, math.max(now, tonumber(f[3])), busy, states}
  end
  at = at + 1 + 3 * count
end

return answers
