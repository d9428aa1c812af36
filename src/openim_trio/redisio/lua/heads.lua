-- KEYS  hashes, one a conversation
-- ARGV  ticket, ticket seconds
-- Answer: inc; for each conversation {0, ticket} or {1, n, tn}.

local answers = {inc}

for i = 1, #KEYS do
  local f = redis.call('HMGET', KEYS[i], 'inc', 'n', 'tn')
  if is_known(KEYS[i], f[1], f[2]) then
    answers[i + 1] = {FACTS, tonumber(f[2]), tonumber(f[3])}
  else
    answers[i + 1] = unknown(KEYS[i], ARGV[1], ARGV[2])
  end
end

return answers
