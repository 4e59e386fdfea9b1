-- ARGV: retention, limit. Runs that ended so long ago, with their correlation ids. On the way: sessions that ran out and hold nothing.
local now, found = clock(), {}
lapse_all(now)
for _, session in ipairs(call('ZRANGEBYSCORE', P .. 'zl', '-inf', exact(now), 'LIMIT', 0, 100)) do
  if call('EXISTS', P .. 'cl:' .. session) == 0 then
    call('ZREM', P .. 'zl', session)
    call('HDEL', P .. 'zs', session)
  end
end
for i, run in ipairs(call('ZRANGEBYSCORE', P .. 't', '-inf', exact(now - tonumber(ARGV[1])), 'LIMIT', 0, ARGV[2])) do
  found[i] = {run, call('ZSCORE', P .. 't', run), call('SMEMBERS', P .. 'u:' .. run)}
end
return found
