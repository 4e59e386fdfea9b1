-- ARGV: delivery id, answer, for how long.
local name, now = P .. 'o:' .. ARGV[1], clock()
local kept = call('GET', name)
if kept and struct.unpack('>d', kept) > now then
  return kept:sub(9)
end
local long = tonumber(ARGV[3])
call('SET', name, struct.pack('>d', now + long) .. ARGV[2], 'PX', math.ceil(long * 1000))
return false
