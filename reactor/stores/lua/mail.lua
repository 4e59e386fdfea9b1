-- ARGV: run, after. The highest number, and the messages with a higher one than `after`.
local last = tonumber(call('HGET', P .. 'r:' .. ARGV[1], 'm') or 0)
local waiting = last - tonumber(ARGV[2])
if waiting <= 0 then
  return {last, {}}
end
return {last, call('LRANGE', P .. 'm:' .. ARGV[1], -waiting, -1)}
