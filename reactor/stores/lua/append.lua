-- What happened is written. ARGV: run, token, seq, op, status, flags (r release, e ended), due, read up to, how many events, the
-- events; then, where there is more: version, fingerprint, has a chunk, chunk, seq of the snapshot, snapshot, how many children, those,
-- and messages, each its run, kind and body.
--
-- This part comes before all others: it is asked far more often than anything else, so the plain case stands on nothing.
local P, call, A = KEYS[1], redis.call, ARGV
local run = A[1]
local r = P .. 'r:' .. run
local h = call('HMGET', r, 't', 'o', 's', 'm')
local o = h[2]
if not o then
  return {'f'}
end
local unread, last, read_to = 0, 0, 0
if h[4] then
  last = h[4] + 0
  read_to = last - call('LLEN', P .. 'm:' .. run)
  if last > math.max(read_to, A[8] + 0) then
    unread = 1
  end
end
local op, seq = o:sub(1, 8), o:sub(9)
if op == A[4] then
  return {'a', seq + 0, unread}
end
if h[1] ~= A[2] then
  return {'f'}
end
if seq ~= A[3] then
  return {'b', seq + 0}
end
local flags, count = A[6], A[9]
if unread == 1 and flags ~= '' then
  return {'u'}
end
local length = seq + count

local function write()
  if count == '1' then
    call('RPUSH', P .. 'e:' .. run, A[10])
  elseif count == '2' then
    call('RPUSH', P .. 'e:' .. run, A[10], A[11])
  else
    for first = 10, 9 + count, 1000 do
      call('RPUSH', P .. 'e:' .. run, unpack(A, first, math.min(first + 999, 9 + count)))
    end
  end
  call('HSET', r, 'o', A[4] .. length)
end

if h[3] == A[5] and last == read_to and flags == '' and #A == 9 + count then
  write()
  return 1 -- nobody is told of what changes nothing but the events: who follows them looks again while the run goes on
end
