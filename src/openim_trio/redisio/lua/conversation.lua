-- Put before every script: the facts about a conversation, one hash each (a hash can only be lost
-- as a whole).
--
--   inc      the server that wrote this hash; another value than the server's own = unknown (C11)
--   tk       ticket of the present "unknown"; only while there is no n (C8)
--   n, tn    rows 1..n are in the store; sendTime of row n
--   lo, tlo  the map holds the key of every row in lo..n (C5); every key in rows below lo has
--            createTime <= tlo (C4)
--   ta       sendTime of row lo, or less: tells without a look into the map that no row is too old
--   k:<key>  "seq kind sendTime createTime fingerprint" of the row that holds this key
--   s:<seq>  the key of row seq, so that the window can be trimmed in order
--   lt, lu   lease: token of one flush, and until when (ms).  Advisory
--
-- Effects are replicated, not the scripts, so INFO and TIME may be asked before writing.

local KNOWN_NOTHING, FACTS, BEHIND = 0, 1, 2
local CHUNK = 1000  -- far below Lua's limit on the results of one unpack

local inc
do
  local run = string.match(redis.call('INFO', 'server'), 'run_id:(%w+)') or ''
  local replid = string.match(redis.call('INFO', 'replication'), 'master_replid:(%w+)') or ''
  inc = string.sub(run, 1, 16) .. string.sub(replid, 1, 16)
end

local function now_ms()
  local time = redis.call('TIME')
  return tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
end

local function digits(number)
  return string.format('%.0f', number)
end

-- HMGET of any number of fields.
local function get_many(hash, fields)
  if #fields <= CHUNK then
    return redis.call('HMGET', hash, unpack(fields))
  end
  local values = {}
  for from = 1, #fields, CHUNK do
    local upto = math.min(from + CHUNK - 1, #fields)
    local part = redis.call('HMGET', hash, unpack(fields, from, upto))
    for i = 1, #part do values[from + i - 1] = part[i] end
  end
  return values
end

-- HSET or HDEL of any number of arguments (CHUNK is even, so a field stays with its value).
local function write_many(command, hash, arguments)
  for from = 1, #arguments, CHUNK do
    redis.call(command, hash, unpack(arguments, from, math.min(from + CHUNK - 1, #arguments)))
  end
end

-- Are `written` (field inc) and `n` facts of this server?  A hash of another one is dropped (C11).
local function is_known(hash, written, n)
  if written == inc then return n ~= false end
  redis.call('DEL', hash)
  return false
end

-- Answer "unknown" with the ticket that a seed must show; all who ask meanwhile get the same (C8).
local function unknown(hash, ticket, ticket_seconds)
  if redis.call('HSETNX', hash, 'tk', ticket) == 1 then
    redis.call('HSET', hash, 'inc', inc)
    redis.call('EXPIRE', hash, ticket_seconds)
    return {KNOWN_NOTHING, ticket}
  end
  return {KNOWN_NOTHING, redis.call('HGET', hash, 'tk')}
end
