-- ARGV: session, its lease in seconds, or '' to prolong it. What it held as its lease ran out, and nobody has claimed, is safe again.
local session, lease = ARGV[1], ARGV[2]
if lease == '' then
  lease = call('HGET', P .. 'zs', session)
  if not lease then
    return false
  end
else
  call('HSET', P .. 'zs', session, lease)
end
for _, run in ipairs(call('SMEMBERS', P .. 'cl:' .. session)) do
  local h = call('HMGET', P .. 'r:' .. run, 't', 'l', 'v', 'b')
  if h[1] and session_of(h[1]) == session then
    withdraw(run, h[2], h[3] .. (h[4] or ''))
    call('SADD', P .. 'c:' .. session, run)
  end
end
call('UNLINK', P .. 'cl:' .. session)
call('ZREM', P .. 'zl', session)
call('ZADD', P .. 'z', exact(clock() + tonumber(lease)), session)
return lease
