-- ARGV: session, token, forced, then (run, lane) of each that was seen. Asked again under the same token it answers the same.
local session, token, forced, now, got = ARGV[1], ARGV[2], ARGV[3] == '1', clock(), {}
if not alive(session, now) then
  return false
end
for i = 4, #ARGV, 2 do
  local run = ARGV[i]
  local r = P .. 'r:' .. run
  local h = call('HMGET', r, 't', 'l', 'v', 'b', 'z', 'x', 'k')
  local owned, l, fence = h[1], h[2], tonumber(h[6] or 0)
  if owned == token then
    got[#got + 1] = {run, reactor_of(l), fence}
  elseif l and h[7] ~= token then
    local m, can = h[3] .. (h[4] or ''), nil
    if forced then
      can = not h[5] and (not owned or not alive(session_of(owned), now))
    else
      local due = m == ARGV[i + 1] and call('ZSCORE', P .. 'q:' .. l .. m, run)
      can = due and tonumber(due) <= now
    end
    if can then
      fence = next_fence(fence, now)
      withdraw(run, l, m)
      if owned then
        disown(run, owned)
      end
      call('HSET', r, 't', token, 'x', fence)
      call('HDEL', r, 'd')
      call('SADD', P .. 'c:' .. session, run)
      got[#got + 1] = {run, reactor_of(l), fence}
    end
  end
end
return got
