-- ARGV: root, name. The run's own list of its correlation ids, by which they are freed when it expires.
if call('EXISTS', P .. 'r:' .. ARGV[1]) == 1 then
  call('SADD', P .. 'u:' .. ARGV[1], ARGV[2])
end
return 1
