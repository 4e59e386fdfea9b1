-- ARGV: session. All that it held is due.
local session, count = ARGV[1], 0
if call('HDEL', P .. 'zs', session) == 0 then
  return 0
end
local now = clock()
for _, held in ipairs({P .. 'c:' .. session, P .. 'cl:' .. session}) do
  for _, run in ipairs(call('SMEMBERS', held)) do
    local h = call('HMGET', P .. 'r:' .. run, 't', 'l', 'v', 'b')
    if h[1] and session_of(h[1]) == session then
      call('HDEL', P .. 'r:' .. run, 't')
      call('HSET', P .. 'r:' .. run, 'd', exact(now))
      offer(run, h[2], h[3] .. (h[4] or ''), now)
      tell(run)
      count = count + 1
    end
  end
  call('UNLINK', held)
end
call('ZREM', P .. 'z', session)
call('ZREM', P .. 'zl', session)
return count
