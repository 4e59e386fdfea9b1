-- ARGV: name, run, address.
local w = P .. 'w:' .. ARGV[1]
local h = call('HMGET', w, 'r', 'a')
if h[1] == ARGV[2] and h[2] == ARGV[3] then
  call('HSET', w, 'o', 0)
end
return 1
