-- ARGV: run, kind, body, moves, operation, how many signals may wait.
local run, kind = ARGV[1], ARGV[2]
local h = call('HMGET', P .. 'r:' .. run, unpack(LEFT))
local now = clock()
if not h[1] then
  return tonumber(call('GET', P .. 'x:' .. run) or 0) > now and 'gone' or 'unknown'
end
local known = call('HGET', P .. 'd:' .. run, ARGV[5])
if known then
  return tonumber(known)
end
if not takes(h, kind) then
  return 'gone'
end
if kind == 's' and tonumber(h[10] or 0) >= tonumber(ARGV[6]) then
  return 'full'
end
local number = leave(run, h, kind, ARGV[3], ARGV[4] == '1', now)
call('HSET', P .. 'd:' .. run, ARGV[5], number)
return number
