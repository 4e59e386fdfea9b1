-- ARGV: shards. How many the namespace was made with: the first who opens it says.
call('HSETNX', P .. 'meta', 'shards', ARGV[1])
return tonumber(call('HGET', P .. 'meta', 'shards'))
