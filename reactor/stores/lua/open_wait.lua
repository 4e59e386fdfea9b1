-- ARGV: name, run, address, the run without its life, its life. Keys: w:<name> who waits, a:<name> what it was given, f:<name> what
-- came before anybody waited (a time, who sent it, and the message).
local w, a, f = P .. 'w:' .. ARGV[1], P .. 'a:' .. ARGV[1], P .. 'f:' .. ARGV[1]
local h = call('HMGET', w, 'r', 'a')

local function takes_over(former)
  local root = former:match('^[^/]*')
  local name, number = root:match('^([^~]*)~(%d+)$')
  name = name or root:match('^[^~]*')
  return name == ARGV[4] and tonumber(ARGV[5]) > tonumber(number or 1)
end

if h[1] and takes_over(h[1]) then
  call('DEL', w, a)
  h[1] = false
end
if not h[1] then
  local now = clock()
  for _, early in ipairs(call('LRANGE', f, 0, -1)) do
    if struct.unpack('>d', early) > now then
      call('RPUSH', a, early:sub(25))
    end
  end
  call('DEL', f)
  call('HSET', w, 'r', ARGV[2], 'a', ARGV[3])
elseif h[1] ~= ARGV[2] or h[2] ~= ARGV[3] then
  return false
end
call('HSET', w, 'o', 1)
return call('LRANGE', a, 0, -1)
