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

local function field(kind, slot) return kind .. string.format('%.0f', slot) end

local function number(key, name) return tonumber(redis.call('HGET', key, name) or 0) end

-- What a meter is: hash, window, grain, reset (0: sliding), how long a reservation may stay open. Microseconds.
local function meter(key, at)
  return {key = key, window = tonumber(ARGV[at]), grain = tonumber(ARGV[at + 1]), reset = tonumber(ARGV[at + 2])}
end

local function each_old(m, kind, first, upto, act)
  if upto - first > 32 then
    local all = redis.call('HGETALL', m.key)
    for n = 1, #all, 2 do
      local digits = all[n]:match('^' .. kind .. '(%d+)$')
      if digits and tonumber(digits) < upto then act(tonumber(digits), tonumber(all[n + 1])) end
    end
  else
    for slot = first, upto - 1 do
      local amount = redis.call('HGET', m.key, field(kind, slot))
      if amount then act(slot, tonumber(amount)) end
    end
  end
end

-- Let lapse what nobody settled, forget what is out of the window: a slot when its last moment is.
local function advance(m, now)
  m.s, m.i = number(m.key, 's'), number(m.key, 'i')
  local present, f, l = math.floor(now / m.grain), number(m.key, 'f'), number(m.key, 'l')
  if l < present then
    each_old(m, 'L', l, present, function(slot, amount)
      redis.call('HDEL', m.key, field('L', slot))
      redis.call('HINCRBY', m.key, field('', slot), amount)
      m.i, m.s = m.i - amount, m.s + amount
    end)
    redis.call('HSET', m.key, 'l', field('', present))
  end
  if m.reset == 0 then
    local first = math.floor((now - m.window) / m.grain)
    if f < first then
      each_old(m, '', f, first, function(slot, amount)
        redis.call('HDEL', m.key, field('', slot))
        m.s = m.s - amount
      end)
      redis.call('HSET', m.key, 'f', field('', first))
    end
  end
end

local function keep(m, now, hold)
  redis.call('HSET', m.key, 's', field('', m.s), 'i', field('', m.i))
  local life = m.reset > 0 and m.reset - now or m.window
  redis.call('PEXPIRE', m.key, math.ceil((math.max(life, 0) + hold + 2 * m.grain) / 1000) + 1000)
end

local function settle(m, amount, at)
  m.s = m.s + amount
  if m.reset == 0 then redis.call('HINCRBY', m.key, field('', math.floor(at / m.grain)), amount) end
end

if redis.call('GET', KEYS[1]) ~= ARGV[1] then return {-1} end
local now = clock()
"""

RESERVE: Final = (
    _COMMON
    + """
local function wait(m, over)
  if m.amount > m.room then return -1 end
  if m.s + m.amount <= m.room then return 500000 end
  if m.reset > 0 then return m.reset - now end
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
  advance(m, now)
  local over = m.s + m.i + m.amount - m.room
  if over > 0 and longest >= 0 then
    local mine = wait(m, over)
    longest = mine < 0 and -1 or math.max(longest, mine, 1)
  end
  meters[#meters + 1] = m
end
local present, here = 0, redis.call('HVALS', KEYS[2])
for _, deadline in ipairs(here) do
  if tonumber(deadline) > now then present = present + 1 end
end
local found = {longest == 0 and 1 or 0, field('', longest), present}
local held = {field('', now)}
for _, m in ipairs(meters) do
  if longest == 0 then
    local lapse = math.floor((now + hold) / m.grain)
    redis.call('HINCRBY', m.key, field('L', lapse), m.amount)
    m.i = m.i + m.amount
    held[#held + 1] = m.amount .. ',' .. field('', lapse)
  end
  keep(m, now, hold)
  found[#found + 1] = m.s + m.i
end
if longest == 0 then redis.call('SET', KEYS[3], table.concat(held, ';'), 'PX', math.ceil(hold / 1000) + 1000) end
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
local hold, age, rows = tonumber(ARGV[2]), tonumber(ARGV[3]), {}
for row in held:gmatch('[^;]+') do rows[#rows + 1] = row end
local began = tonumber(rows[1])
for n = 3, #KEYS do
  local at = 4 + (n - 3) * 4
  local m = meter(KEYS[n], at)
  advance(m, now)
  local amount, lapse = rows[n - 1]:match('^(%d+),(%d+)$')
  if tonumber(lapse) >= math.floor(now / m.grain) then
    local open = redis.call('HINCRBY', m.key, field('L', tonumber(lapse)), -amount)
    if open <= 0 then redis.call('HDEL', m.key, field('L', tonumber(lapse))) end
    m.i = m.i - amount
    local used = tonumber(ARGV[at + 3])
    if used > 0 then settle(m, used, math.min(now, math.max(began, now - age))) end
    keep(m, now, hold)
  end
end
return {1}
"""
)
"""KEYS: epoch, ticket, meters. ARGV: epoch, hold, age, then per meter window, grain, reset, used."""

CHARGE: Final = (
    _COMMON
    + """
local hold, m = tonumber(ARGV[2]), meter(KEYS[2], 4)
advance(m, now)
local most = nil
if ARGV[3] == 'at least' then
  most = -(m.s + m.i)
  for n = 7, #ARGV, 2 do most = most + ARGV[n + 1] end
end
for n = 7, #ARGV, 2 do
  local amount = tonumber(ARGV[n + 1])
  if most then
    amount = math.max(0, math.min(amount, most))
    most = most - amount
  end
  local at = now - ARGV[n]
  if amount > 0 and (m.reset > 0 or math.floor(at / m.grain) >= number(m.key, 'f')) then settle(m, amount, at) end
end
keep(m, now, hold)
return {1}
"""
)
"""KEYS: epoch, meter. ARGV: epoch, hold, "all" or "at least", window, grain, reset, then ages and amounts.

Of "at least" what is missing is counted as the newest: it counts the longest.
"""

BEAT: Final = (
    _COMMON
    + """
redis.call('HSET', KEYS[2], ARGV[2], field('', now + ARGV[3]))
redis.call('PEXPIRE', KEYS[2], 86400000)
redis.call('PEXPIRE', KEYS[1], 172800000)
local present, here = 0, redis.call('HVALS', KEYS[2])
for _, deadline in ipairs(here) do
  if tonumber(deadline) > now then present = present + 1 end
end
return {present}
"""
)
"""KEYS: epoch, heartbeats. ARGV: epoch, shard, how long it is present."""
