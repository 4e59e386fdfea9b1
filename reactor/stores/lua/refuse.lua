-- ARGV: run, token, fingerprint.
local run, token, fingerprint = ARGV[1], ARGV[2], ',' .. ARGV[3]
local r = P .. 'r:' .. run
local h = call('HMGET', r, 't', 'w', 'l', 'v', 'b', 's', 'c', 'p')
local refused = h[5] or ''
if h[2] == '1' and h[1] == token then
  local now = clock()
  withdraw(run, h[3], h[4] .. refused)
  disown(run, token)
  if not refused:find(fingerprint, 1, true) then
    refused = refused .. fingerprint
  end
  change_status(run, h[3], h[6], 'incompatible', h[7], h[8])
  call('HDEL', r, 'w')
  call('HSET', r, 'b', refused, 'd', exact(now))
  offer(run, h[3], h[4] .. refused, now)
  tell(run)
end
return refused:find(fingerprint, 1, true) and 1 or 0
