-- ARGV: limit, since, until, cursor's time, cursor's run, base ('' for "by reactor and status", else its key), reactor, status.
-- How many there are from since to until, and the newest of them behind the cursor, with what a list shows.
local limit, since, before, from, from_run = tonumber(ARGV[1]), ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local bases = {}
if ARGV[6] ~= '' then
  bases[1] = P .. ARGV[6]
else
  local reactor, status = ARGV[7], ARGV[8]
  for _, name in ipairs(call('HKEYS', P .. 'h')) do
    local is = reactor_of(name)
    if (reactor == '' or is == reactor) and (status == '' or name:sub(#is + 1) == status) then
      bases[#bases + 1] = P .. 'n:' .. name
    end
  end
end
local total, found = 0, {}
for _, base in ipairs(bases) do
  total = total + call('ZCOUNT', base, since, before)
  local top, more = before, 0
  if from ~= '' then
    top, more = from, call('ZCOUNT', base, from, from)
  end
  local newest = call('ZREVRANGEBYSCORE', base, top, since, 'WITHSCORES', 'LIMIT', 0, limit + more)
  for i = 1, #newest, 2 do
    if from == '' or tonumber(newest[i + 1]) < tonumber(from) or newest[i] < from_run then
      found[#found + 1] = {newest[i], tonumber(newest[i + 1])}
    end
  end
end
table.sort(found, function(one, other)
  if one[2] ~= other[2] then
    return one[2] > other[2]
  end
  return one[1] > other[1]
end)
local rows = {}
for i = 1, math.min(limit, #found) do
  local run = found[i][1]
  local h = call('HMGET', P .. 'r:' .. run, 's', 'c', 'z', 'l')
  rows[i] = {run, h[1], h[2], h[3], h[1] and reactor_of(h[4]), call('GET', P .. 'j:' .. run)}
end
return {total, rows}
