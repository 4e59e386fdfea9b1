-- What happened is written. ARGV: run, token, seq, op, status, flags (r release, e ended), due, read up to, how many events, the
-- events; then, where there is more: version, fingerprint, has a chunk, chunk, seq of the snapshot, snapshot, how many children, those,
-- and messages, each its run, kind and body.
--
-- This part comes before all others: it is asked far more often than anything else, so the plain case stands on nothing.
local P, call = KEYS[1], redis.call
local r = P .. 'r:' .. ARGV[1]
local h = call('HMGET', r, 't', 'o', 's', 'a', 'm')
local o = h[2]
if not o then
  return {'f'}
end
local unread, last, read_to = 0, 0, 0
if h[5] then
  last = h[5] + 0
  read_to = last - call('LLEN', P .. 'm:' .. ARGV[1])
  if last > math.max(read_to, ARGV[8] + 0) then
    unread = 1
  end
end
if o:sub(1, 8) == ARGV[4] then
  return {'a', o:sub(9) + 0, h[4] + 0, unread}
end
if h[1] ~= ARGV[2] then
  return {'f'}
end
if o:sub(9) ~= ARGV[3] then
  return {'b', o:sub(9) + 0}
end
if unread == 1 and ARGV[6] ~= '' then
  return {'u'}
end
local t = call('TIME')
local moment = t[1] * 1000000 + t[2] -- microseconds, for whole numbers are quick
if h[4] and h[4] + 0 > moment then
  moment = h[4] + 0 -- a clock that was put back
end
if ARGV[9] == '1' then
  call('RPUSH', P .. 'e:' .. ARGV[1], ARGV[10])
else
  for first = 10, 9 + ARGV[9], 1000 do
    call('RPUSH', P .. 'e:' .. ARGV[1], unpack(ARGV, first, math.min(first + 999, 9 + ARGV[9])))
  end
end
local length = ARGV[3] + ARGV[9]
call('HSET', r, 'o', ARGV[4] .. length, 'a', moment)
if h[3] == ARGV[5] and last == read_to and ARGV[6] == '' and #ARGV == 9 + ARGV[9] then
  call('XADD', P .. 'ev', 'MAXLEN', '~', '1024', '*', 'r', ARGV[1])
  return moment
end
