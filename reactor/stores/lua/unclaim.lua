-- ARGV: token, then the runs of a claim whose answer nobody got. It is given back; a late copy of that claim finds its token used.
local now = clock()
for i = 2, #ARGV do
  local run = ARGV[i]
  local h = call('HMGET', P .. 'r:' .. run, 't', 'w', 'l', 'v', 'b')
  if h[4] and h[2] ~= '1' then
    call('HSET', P .. 'r:' .. run, 't', ARGV[1])
  elseif h[4] and h[1] == ARGV[1] then
    disown(run, h[1])
    call('HDEL', P .. 'r:' .. run, 'w')
    call('HSET', P .. 'r:' .. run, 'd', exact(now))
    offer(run, h[3], h[4] .. (h[5] or ''), now)
  end
end
return 1
