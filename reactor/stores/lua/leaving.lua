-- A message is left: s signal, t settled, c cancel, u undo, r retry_rollback, x restart.
local REOPENING = {u = true, x = true, r = true}
local LEFT = {'s', 't', 'z', 'm', 'l', 'v', 'b', 'c', 'p', 'g'}

local function takes(h, kind)
  return h[1] and (not h[3] or REOPENING[kind])
end

local function leave(run, h, kind, body, moves, now)
  local r = P .. 'r:' .. run
  local number = call('HINCRBY', r, 'm', 1)
  call('RPUSH', P .. 'm:' .. run, kind .. body)
  if kind == 's' then
    call('HINCRBY', r, 'g', 1)
  end
  local moved = moves and not h[2]
  if moved then
    call('HSET', r, 'd', exact(now))
    if h[3] then
      call('HDEL', r, 'z')
      call('ZREM', P .. 't', run)
    end
    offer(run, h[5], h[6] .. (h[7] or ''), now)
    if kind ~= 't' then
      change_status(run, h[5], h[1], 'queued', h[8], h[9])
    end
  end
  tell(run)
  return moved and number or -number
end
