-- ARGV: name, root. A run has expired: its correlation ids are free.
local w = P .. 'w:' .. ARGV[1]
local run = call('HGET', w, 'r')
if run and run:match('^[^/]*') == ARGV[2] then
  call('DEL', w, P .. 'a:' .. ARGV[1])
end
return 1
