-- ARGV: session, token, forced, then (run, lane) of each that was seen. Asked again under the same token it answers the same.
local session, token, forced, now, got = ARGV[1], ARGV[2], ARGV[3] == '1', clock(), {}
if not alive(session, now) then
  return false
end
for i = 4, #ARGV, 2 do
  local run = ARGV[i]
  local r = P .. 'r:' .. run
  local h = call('HMGET', r, 't', 'w', 'l', 'v', 'b', 'z', 'x')
  local owned, fence = h[2] == '1', tonumber(h[7] or 0)
  if h[4] and h[1] == token then
    if owned then
      got[#got + 1] = {run, reactor_of(h[3]), fence}
    end
  elseif h[4] then
    local l, m, can = h[3], h[4] .. (h[5] or ''), nil
    if forced then
      can = not h[6] and (not owned or not alive(session_of(h[1]), now))
    else
      local due = m == ARGV[i + 1] and call('ZSCORE', P .. 'q:' .. l .. m, run)
      can = due and tonumber(due) <= now
    end
    if can then
      fence = next_fence(fence, now)
      withdraw(run, l, m)
      if owned then
        disown(run, h[1])
      end
      call('HSET', r, 't', token, 'w', 1, 'x', fence)
      call('HDEL', r, 'd')
      call('SADD', P .. 'c:' .. session, run)
      got[#got + 1] = {run, reactor_of(l), fence}
    end
  end
end
return got
