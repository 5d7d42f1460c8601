"""The Lua that counts in Redis: one script a call, atomic there, with the server's own time in microseconds.

A meter is a hash: `s` what is settled and counts, `i` what is in flight, `f` the oldest slot that may count, `l` the
oldest slot in which a reservation may lapse, `<slot>` settled amounts, `L<slot>` reservations that lapse in that slot.
A reservation that nobody settles counts as used from its lapse on. Everything expires by itself.
"""

from __future__ import annotations

from typing import Final

_COMMON: Final = """
local function clock()
  local t = redis.call('TIME')
  return t[1] * 1000000 + t[2]
end

local function text(number) return string.format('%.0f', number) end

if redis.call('GET', KEYS[1]) ~= ARGV[1] then return {-1} end
local now = clock()

local function each_old(m, kind, first, upto, act)
  if upto - first > 32 then
    local all = redis.call('HGETALL', m.key)
    for n = 1, #all, 2 do
      local digits = all[n]:match('^' .. kind .. '(%d+)$')
      if digits and tonumber(digits) < upto then act(tonumber(digits), tonumber(all[n + 1])) end
    end
  else
    for slot = first, upto - 1 do
      local amount = redis.call('HGET', m.key, kind .. text(slot))
      if amount then act(slot, tonumber(amount)) end
    end
  end
end

-- A meter as it is now: what nobody settled lapsed, what is out of the window is forgotten (a slot when its last moment
-- is). Hash, window, grain, reset (0: sliding); microseconds. `keep` must follow.
local function meter(key, at)
  local m = {key = key, window = tonumber(ARGV[at]), grain = tonumber(ARGV[at + 1]), reset = tonumber(ARGV[at + 2])}
  local row = redis.call('HMGET', key, 's', 'i', 'f', 'l')
  m.s, m.i, m.f, m.l = tonumber(row[1] or 0), tonumber(row[2] or 0), tonumber(row[3] or 0), tonumber(row[4] or 0)
  local present = math.floor(now / m.grain)
  m.first = m.reset > 0 and 0 or math.floor((now - m.window) / m.grain)
  if m.l < present then
    each_old(m, 'L', m.l, present, function(slot, amount)
      redis.call('HDEL', key, 'L' .. text(slot))
      if m.reset == 0 then redis.call('HINCRBY', key, text(slot), amount) end
      m.i, m.s = m.i - amount, m.s + amount
    end)
    m.l = present
  end
  if m.f < m.first then
    each_old(m, '', m.f, m.first, function(slot, amount)
      redis.call('HDEL', key, text(slot))
      m.s = m.s - amount
    end)
    m.f = m.first
  end
  return m
end

-- Write it back, to live as long as something in it may count; another's longer hold is never cut short.
local function keep(m, hold)
  redis.call('HSET', m.key, 's', text(m.s), 'i', text(m.i), 'f', text(m.f), 'l', text(m.l))
  local life = m.reset > 0 and math.max(m.reset - now, 0) or m.window + 2 * m.grain
  local needed = math.ceil((life + hold) / 1000)
  if redis.call('PTTL', m.key) < needed then redis.call('PEXPIRE', m.key, text(needed + 1000)) end
end

local function count(m, amount, at)
  if m.reset == 0 then
    local slot = math.floor(at / m.grain)
    if slot < m.f then
      if m.first == m.f then return end
      slot = m.f -- the server's clock was set back: rather counted for too long than not at all
    end
    redis.call('HINCRBY', m.key, text(slot), text(amount))
  end
  m.s = m.s + amount
end

local function present(key)
  local found, here = 0, redis.call('HVALS', key)
  for _, deadline in ipairs(here) do
    if tonumber(deadline) > now then found = found + 1 end
  end
  return found
end
"""

RESERVE: Final = (
    _COMMON
    + """
local function wait(m, over)
  if m.amount > m.room then return -1 end
  if m.s + m.amount <= m.room then return 500000 end
  if m.reset > 0 then return math.max(m.reset - now, 0) + 1000 end
  local slots, all = {}, redis.call('HGETALL', m.key)
  for n = 1, #all, 2 do
    if all[n]:match('^%d+$') then slots[#slots + 1] = {tonumber(all[n]), tonumber(all[n + 1])} end
  end
  table.sort(slots, function(a, b) return a[1] < b[1] end)
  for _, row in ipairs(slots) do
    over = over - row[2]
    if over <= 0 then return math.max(0, (row[1] + 1) * m.grain + m.window - now) + 1000 end
  end
  return 500000
end

local hold, meters, longest = tonumber(ARGV[2]), {}, 0
for n = 4, #KEYS do
  local at = 3 + (n - 4) * 6
  local m = meter(KEYS[n], at)
  m.amount, m.room = tonumber(ARGV[at + 3]), ARGV[at + 4] - ARGV[at + 5]
  local over = m.s + m.i + m.amount - m.room
  if over > 0 and longest >= 0 then
    local mine = wait(m, over)
    longest = mine < 0 and -1 or math.max(longest, mine)
  end
  meters[#meters + 1] = m
end
local granted = longest == 0
local found, held = {granted and 1 or 0, text(longest), present(KEYS[2])}, {text(now), text(now + hold)}
for _, m in ipairs(meters) do
  if granted then
    local lapse = math.max(m.l, math.floor((now + hold) / m.grain))
    redis.call('HINCRBY', m.key, 'L' .. text(lapse), text(m.amount))
    m.i = m.i + m.amount
    held[#held + 1] = text(m.amount) .. ',' .. text(lapse)
  end
  keep(m, hold)
  found[#found + 1] = m.s + m.i
end
if granted then redis.call('SET', KEYS[3], table.concat(held, ';'), 'PX', text(math.ceil(hold / 1000) + 1000)) end
return found
"""
)
"""KEYS: epoch, heartbeats, ticket, meters. ARGV: epoch, hold, then per meter window, grain, reset, amount, limit, kept.

Gives [granted, wait (-1: never), shards present, used of each meter].
"""

SETTLE: Final = (
    _COMMON
    + """
local held = redis.call('GET', KEYS[2])
if not held then return {0} end
redis.call('DEL', KEYS[2])
local rows = {}
for row in held:gmatch('[^;]+') do rows[#rows + 1] = row end
local began = tonumber(rows[1])
if now >= tonumber(rows[2]) then return {0} end
for n = 3, #KEYS do
  local at = 3 + (n - 3) * 4
  local m = meter(KEYS[n], at)
  local amount, lapse = rows[n]:match('^(%d+),(%d+)$')
  local field = 'L' .. lapse
  local open = tonumber(redis.call('HGET', m.key, field) or 0)
  local taken = math.min(open, tonumber(amount)) -- less when the server dropped the meter meanwhile
  if open > taken then
    redis.call('HINCRBY', m.key, field, text(-taken))
  else
    redis.call('HDEL', m.key, field)
  end
  m.i = m.i - taken
  local used = tonumber(ARGV[at + 3])
  if used > 0 then count(m, used, math.min(now, math.max(began, now - ARGV[2]))) end
  keep(m, 0)
end
return {1}
"""
)
"""KEYS: epoch, ticket, meters as reserved. ARGV: epoch, age, then per meter window, grain, reset, used.

After the hold nothing is settled: what was reserved counts as used then.
"""

CHARGE: Final = (
    _COMMON
    + """
local m = meter(KEYS[2], 3)
local function counts(n) return m.reset > 0 or math.floor((now - ARGV[n]) / m.grain) >= m.first end
local most = math.huge
if ARGV[2] == 'at least' then
  most = -(m.s + m.i)
  for n = 6, #ARGV, 2 do
    if counts(n) then most = most + ARGV[n + 1] end
  end
end
for n = 6, #ARGV, 2 do
  local amount = math.min(tonumber(ARGV[n + 1]), most)
  if amount > 0 and counts(n) then
    count(m, amount, now - ARGV[n])
    most = most - amount
  end
end
keep(m, 0)
return {1}
"""
)
"""KEYS: epoch, meter. ARGV: epoch, "all" or "at least", window, grain, reset, then ages, youngest first, and amounts.

Of "at least" what is missing is counted as the newest: it counts the longest.
"""

BEAT: Final = (
    _COMMON
    + """
redis.call('HSET', KEYS[2], ARGV[2], text(now + ARGV[3]))
redis.call('PEXPIRE', KEYS[2], 86400000)
redis.call('PEXPIRE', KEYS[1], 172800000)
return {present(KEYS[2])}
"""
)
"""KEYS: epoch, heartbeats. ARGV: epoch, shard, how long it is present."""
