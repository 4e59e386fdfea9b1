-- ARGV: name, who sent it (16 bytes: of a delivery id, else of the message), message, for how long, how many.
local f = P .. 'f:' .. ARGV[1]
if call('EXISTS', P .. 'w:' .. ARGV[1]) == 1 then
  return 'open'
end
local now = clock()
local lying = call('LRANGE', f, 0, -1)
while lying[1] and struct.unpack('>d', lying[1]) <= now do
  call('LPOP', f)
  table.remove(lying, 1)
end
for _, early in ipairs(lying) do
  if early:sub(9, 24) == ARGV[2] then
    return 'duplicate'
  end
end
if #lying >= tonumber(ARGV[5]) then
  return 'full'
end
call('RPUSH', f, struct.pack('>d', now + tonumber(ARGV[4])) .. ARGV[2] .. ARGV[3])
call('PEXPIRE', f, math.ceil(tonumber(ARGV[4]) * 1000))
return 'kept'
