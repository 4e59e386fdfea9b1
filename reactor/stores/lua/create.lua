-- ARGV: the record.
local record = record_of_words()
local run, token = record.run, record.token
local h = call('HMGET', P .. 'r:' .. run, 't', 'w', 'c', 'x')
if h[3] then
  if token ~= '' and h[1] == token and h[2] == '1' then
    return {'c', h[3], tonumber(h[4])}
  end
  return {'l', read(run, '-')}
end
local now = clock()
if tonumber(call('GET', P .. 'x:' .. run) or 0) > now then
  return {'x'}
end
local made = make(record, now)
return {'c', made[1], made[2]}
