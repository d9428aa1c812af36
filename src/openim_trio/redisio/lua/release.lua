-- KEYS  hashes, one a conversation
-- ARGV  token
-- Answer: inc.  Ends the leases of this token; nothing depends on it.

for i = 1, #KEYS do
  if redis.call('HGET', KEYS[i], 'lt') == ARGV[1] then
    redis.call('HDEL', KEYS[i], 'lt', 'lu')
  end
end

return {inc}
