-- ARGV: session. What it holds, its lease alive or not, and nobody has claimed since.
local got = {}
if call('HEXISTS', P .. 'zs', ARGV[1]) == 0 then
  return got
end
for _, held in ipairs({P .. 'c:' .. ARGV[1], P .. 'cl:' .. ARGV[1]}) do
  for _, run in ipairs(call('SMEMBERS', held)) do
    local h = call('HMGET', P .. 'r:' .. run, 't', 'l', 'x')
    if h[1] and session_of(h[1]) == ARGV[1] then
      got[#got + 1] = {run, reactor_of(h[2]), tonumber(h[3]), h[1]}
    end
  end
end
return got
