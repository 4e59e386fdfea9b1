-- ARGV: the record.
local record = record_of_words()
local run, token = record.run, record.token
local h = call('HMGET', P .. 'r:' .. run, 't', 'c', 'x')
if h[2] then
  if token ~= '' and h[1] == token then
    return {'c', h[2], tonumber(h[3])}
  end
  return {'l', read(run, '-')}
end
local now = clock()
if tonumber(call('GET', P .. 'x:' .. run) or 0) > now then
  return {'x'}
end
local made = make(record, now)
return {'c', made[1], made[2]}
