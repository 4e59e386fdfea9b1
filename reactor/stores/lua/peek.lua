-- ARGV: place, limit, then (reactor, version, fingerprint) of each that is served. What is due, as run, lane, since when.
local now, limit, seen, found = clock(), tonumber(ARGV[2]), {}, {}
lapse_all(now)
for i = 3, #ARGV, 3 do
  local l = ARGV[i] .. ARGV[1]
  for _, m in ipairs(call('SMEMBERS', P .. 'L:' .. l)) do
    local version, refused = m:match('^(-?%d+)(.*)$')
    local lane = P .. 'q:' .. l .. m
    if not seen[lane] and tonumber(version) <= tonumber(ARGV[i + 1]) and not refused:find(',' .. ARGV[i + 2], 1, true) then
      seen[lane] = true
      local due = call('ZRANGEBYSCORE', lane, '-inf', exact(now), 'WITHSCORES', 'LIMIT', 0, limit)
      for j = 1, #due, 2 do
        found[#found + 1] = due[j]
        found[#found + 1] = m
        found[#found + 1] = due[j + 1]
      end
      if #due == 0 and call('EXISTS', lane) == 0 then
        call('SREM', P .. 'L:' .. l, m)
      end
    end
  end
end
return found
