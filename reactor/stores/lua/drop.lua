-- ARGV: retention, tombstone's seconds, then runs: each goes with its children, if it ended that long ago.
local now, count = clock(), 0

local function drop(run)
  local h = call('HMGET', P .. 'r:' .. run, 'l', 'v', 'b', 't', 's', 'c', 'p')
  if h[1] then
    withdraw(run, h[1], h[2] .. (h[3] or ''))
    if h[4] then
      disown(run, h[4])
    end
    if not h[7] then
      list_run(run, h[1], h[5], h[6], -1)
    end
  end
  local shown = call('GET', P .. 'j:' .. run)
  if shown then
    local tags, _, inputs = unpack(cmsgpack.unpack(shown))
    for _, tag in ipairs(tags) do
      call('ZREM', P .. 'g:' .. tag, run)
    end
    for _, input in ipairs(inputs) do
      call('ZREM', P .. 'w:' .. input, run)
    end
  end
  for _, family in ipairs({'r:', 'e:', 'm:', 'd:', 'i:', 'b:', 'k:', 's:', 'j:', 'y:', 'u:'}) do
    call('UNLINK', P .. family .. run)
  end
end

for i = 3, #ARGV do
  local run = ARGV[i]
  local ended = call('ZSCORE', P .. 't', run)
  if ended and tonumber(ended) <= now - tonumber(ARGV[1]) then
    for _, child in ipairs(call('SMEMBERS', P .. 'y:' .. run)) do
      drop(child)
    end
    drop(run)
    call('ZREM', P .. 't', run)
    local kept = tonumber(ARGV[2])
    if kept > 0 then
      call('SET', P .. 'x:' .. run, exact(now + kept), 'PX', math.ceil(kept * 1000))
    end
    count = count + 1
  end
end
return count
