"""The policies in Lua: decisions that several processes share are made on the Redis server, atomically.

The scripts mirror ``rate_limit``, ``circuit_breaker`` and ``auth/keys/pool``. Times are microseconds of the
server's own clock, so the clocks of the machines need not agree.
"""

from __future__ import annotations

__all__ = ["BEGIN", "FINISH", "SETTLE", "TAKE"]

_NOW = """
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
"""

#: Reserve capacity in every window, or in none. KEYS: a sorted set and a total for each window. ARGV: a unique
#: id, then limit, length and amount for each window. Returns 0 if admitted, else microseconds to wait.
TAKE = (
    _NOW
    + """
local wait = 0
for i = 1, #KEYS / 2 do
  local log, total = KEYS[2 * i - 1], KEYS[2 * i]
  local limit, length, amount = tonumber(ARGV[3 * i - 1]), tonumber(ARGV[3 * i]), tonumber(ARGV[3 * i + 1])
  local gone = redis.call('ZRANGEBYSCORE', log, '-inf', now - length)
  if #gone > 0 then
    local sum = 0
    for _, member in ipairs(gone) do sum = sum + tonumber(string.match(member, ':(%d+)$')) end
    redis.call('ZREMRANGEBYSCORE', log, '-inf', now - length)
    redis.call('DECRBY', total, sum)
  end
  local used = tonumber(redis.call('GET', total) or '0')
  local over = used + math.min(amount, limit) - limit
  local first = 0
  while over > 0 do
    local held = redis.call('ZRANGE', log, first, first + 99, 'WITHSCORES')
    if #held == 0 then
      redis.call('DEL', total)
      break
    end
    for j = 1, #held, 2 do
      over = over - tonumber(string.match(held[j], ':(%d+)$'))
      if over <= 0 then
        wait = math.max(wait, tonumber(held[j + 1]) + length - now)
        break
      end
    end
    first = first + 100
  end
end
if wait > 0 then return wait end
for i = 1, #KEYS / 2 do
  local log, total = KEYS[2 * i - 1], KEYS[2 * i]
  local length, amount = tonumber(ARGV[3 * i]), ARGV[3 * i + 1]
  redis.call('ZADD', log, now, ARGV[1] .. ':' .. amount)
  redis.call('INCRBY', total, amount)
  redis.call('PEXPIRE', log, math.ceil(length / 500))
  redis.call('PEXPIRE', total, math.ceil(length / 500))
end
return 0
"""
)

#: A request used more or fewer tokens than it claimed. KEYS: the sorted set and its total. ARGV: id, what
#: it claimed, what it used.
SETTLE = """
local score = redis.call('ZSCORE', KEYS[1], ARGV[1] .. ':' .. ARGV[2])
if not score then return 0 end
redis.call('ZREM', KEYS[1], ARGV[1] .. ':' .. ARGV[2])
redis.call('ZADD', KEYS[1], score, ARGV[1] .. ':' .. ARGV[3])
redis.call('INCRBY', KEYS[2], ARGV[3] - ARGV[2])
return 1
"""

#: The state of circuit and keys. KEYS: the circuit's hash, the keys' hash. ARGV: half-open requests, open for;
#: half-open requests 0 means that there is no circuit breaker. Returns the circuit's state, microseconds to wait, and
#: for each key that is out: its id, microseconds it cools down, why, and whether the provider named the time.
BEGIN = (
    _NOW
    + """
local answer = {'closed', 0}
local most, open_for = tonumber(ARGV[1]), tonumber(ARGV[2])
if most > 0 then
  local c = redis.call('HMGET', KEYS[1], 'state', 'until', 'trying', 'good')
  local state, till, trying, good = c[1] or 'closed', tonumber(c[2] or 0), tonumber(c[3] or 0), tonumber(c[4] or 0)
  if state == 'open' and now >= till then
    state, till, trying, good = 'half_open', now + open_for, 0, 0
    redis.call('HSET', KEYS[1], 'state', state, 'until', till, 'trying', 0, 'good', 0)
  elseif state == 'half_open' and now >= till and trying > 0 then
    trying, till = 0, now + open_for  -- whoever tried has not come back
    redis.call('HSET', KEYS[1], 'until', till, 'trying', 0)
  end
  if state == 'open' then
    answer = {state, till - now}
  elseif state == 'half_open' then
    if trying + good >= most then
      answer = {state, math.max(1000000, till - now)}
    else
      redis.call('HINCRBY', KEYS[1], 'trying', 1)
      answer = {state, 0}
    end
  end
end
local out = redis.call('HGETALL', KEYS[2])
for i = 1, #out, 2 do
  local till, why, promised = string.match(out[i + 1], '^(%d+) (%a+) (%d)$')
  if why == 'dead' or tonumber(till) > now then
    table.insert(answer, out[i])
    table.insert(answer, why == 'dead' and 0 or tonumber(till) - now)
    table.insert(answer, why)
    table.insert(answer, tonumber(promised))
  else
    redis.call('HDEL', KEYS[2], out[i])
  end
end
return answer
"""
)

#: How an attempt ended. KEYS as above. ARGV: outcome (``ok``, ``failed``, ``open``, or ``none`` without a
#: circuit breaker), window, open for, half-open requests, fewest requests, ratio; then a key's id (or
#: nothing), what happened to it (``fine``, ``same``, or why it is out), microseconds it cools down, and whether the
#: provider named the time. Returns the circuit's state.
FINISH = (
    _NOW
    + """
local outcome, window, open_for, most = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local state = 'closed'
if outcome ~= 'none' then
  local c = redis.call('HMGET', KEYS[1], 'state', 'until', 'requests', 'failures', 'trying', 'good')
  state = c[1] or 'closed'
  local till, requests, failures = tonumber(c[2] or 0), tonumber(c[3] or 0), tonumber(c[4] or 0)
  local trying, good = tonumber(c[5] or 0), tonumber(c[6] or 0)
  if state == 'half_open' then
    trying = math.max(0, trying - 1)
    if outcome == 'failed' then
      state, till, trying, good = 'open', now + open_for, 0, 0
    elseif outcome == 'ok' then
      good = good + 1
      if good >= most then state, till, requests, failures, trying, good = 'closed', now + window, 0, 0, 0, 0 end
    end
  elseif state == 'closed' and outcome ~= 'open' then
    if now >= till then till, requests, failures = now + window, 0, 0 end
    requests = requests + 1
    if outcome == 'failed' then failures = failures + 1 end
    if outcome == 'failed' and requests >= tonumber(ARGV[5]) and failures >= tonumber(ARGV[6]) * requests then
      state, till, requests, failures = 'open', now + open_for, 0, 0
    end
  end
  redis.call('HSET', KEYS[1], 'state', state, 'until', till, 'requests', requests, 'failures', failures,
             'trying', trying, 'good', good)
  redis.call('PEXPIRE', KEYS[1], math.ceil((window + open_for) / 500))
end
local id, fate = ARGV[7], ARGV[8]
if id ~= '' and fate == 'fine' then
  redis.call('HDEL', KEYS[2], id)
elseif id ~= '' and fate ~= 'same' then
  local till = now + tonumber(ARGV[9])
  local before = redis.call('HGET', KEYS[2], id)
  local known, why = string.match(before or '', '^(%d+) (%a+)')
  if not (known and (why == 'dead' or tonumber(known) > till)) or fate == 'dead' then
    redis.call('HSET', KEYS[2], id, string.format('%d', till) .. ' ' .. fate .. ' ' .. ARGV[10])
  end
  redis.call('PEXPIRE', KEYS[2], 172800000)
end
return state
"""
)
