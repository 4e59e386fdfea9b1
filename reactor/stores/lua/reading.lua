-- A record is read: `after` is a seq, '' for "from its snapshot on", '-' for neither events nor mail.
local function read(run, after)
  local r = P .. 'r:' .. run
  local h = call('HMGET', r, 'o', 't', 's', 'v', 'f', 'x', 'd', 'l', 'c', 'z', 'p', 'm', 'u')
  if not h[1] then
    return false
  end
  local kept = {}
  for position, family in ipairs({'i:', 'b:', 'k:', 'j:'}) do
    kept[position] = call('GET', P .. family .. run)
  end
  if after == '-' then
    return {h, kept, false, {}, {}}
  end
  local snapshot, first = false, tonumber(after)
  if not first then
    snapshot, first = h[13] and call('GET', P .. 's:' .. run), tonumber(h[13] or 0)
  end
  return {h, kept, snapshot, call('LRANGE', P .. 'e:' .. run, math.max(first, 0), -1), call('LRANGE', P .. 'm:' .. run, 0, -1)}
end
