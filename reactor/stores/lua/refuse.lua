-- ARGV: run, token, fingerprint.
local run, token, fingerprint = ARGV[1], ARGV[2], ',' .. ARGV[3]
local r = P .. 'r:' .. run
local h = call('HMGET', r, 't', 'l', 'v', 'b', 's', 'c', 'p')
local refused = h[4] or ''
if h[1] == token then
  local now = clock()
  withdraw(run, h[2], h[3] .. refused)
  disown(run, token)
  if not refused:find(fingerprint, 1, true) then
    refused = refused .. fingerprint
  end
  change_status(run, h[2], h[5], 'incompatible', h[6], h[7])
  call('HDEL', r, 't')
  call('HSET', r, 'b', refused, 'd', exact(now))
  offer(run, h[2], h[3] .. refused, now)
  tell(run)
end
return refused:find(fingerprint, 1, true) and 1 or 0
