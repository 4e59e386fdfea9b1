-- What a session held whose lease ran out is offered to others. Its token writes until somebody claims. A little at a time.
local function lapse(session)
  local ended, held = call('ZSCORE', P .. 'z', session), P .. 'c:' .. session
  for _, run in ipairs(call('SPOP', held, 500)) do
    local h = call('HMGET', P .. 'r:' .. run, 't', 'l', 'v', 'b')
    if h[1] and session_of(h[1]) == session then
      offer(run, h[2], h[3] .. (h[4] or ''), tonumber(ended))
      call('SADD', P .. 'cl:' .. session, run)
    end
  end
  if call('SCARD', held) == 0 then
    call('ZREM', P .. 'z', session)
    call('ZADD', P .. 'zl', ended, session)
  end
end

local function lapse_all(now)
  for _, session in ipairs(call('ZRANGEBYSCORE', P .. 'z', '-inf', exact(now), 'LIMIT', 0, 4)) do
    lapse(session)
  end
end
