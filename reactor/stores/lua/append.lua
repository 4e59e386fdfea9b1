-- ARGV: run, token, seq, op, status, flags (r release, e ended), due, read up to, how many events, the
-- events; then, where there is more: version, fingerprint, has a chunk, chunk, seq of the snapshot, snapshot, how many children, those,
-- and messages, each its run, kind and body.
local run, token, seq, op, status, flags, upto = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4], ARGV[5], ARGV[6], tonumber(ARGV[8])
local r, count = P .. 'r:' .. run, tonumber(ARGV[9])
local more = #ARGV > 9 + count
local h = call('HMGET', r, 'n', 't', 'w', 's', 'o', 'a', 'e', 'm', 'q')
local length, last, read_to = tonumber(h[1]), tonumber(h[8] or 0), tonumber(h[9] or 0)
if not length then
  return {'f'}
end
local unread = last > math.max(read_to, upto) and 1 or 0
if h[5] == op then
  return {'a', tonumber(h[7]), h[6], unread}
end
if h[3] ~= '1' or h[2] ~= token then
  return {'f'}
end
if length ~= seq then
  return {'b', length}
end
if unread == 1 and flags ~= '' then
  return {'u'}
end
local moment = exact(math.max(clock(), tonumber(h[6] or 0)))

for first = 10, 9 + count, 1000 do
  call('RPUSH', P .. 'e:' .. run, unpack(ARGV, first, math.min(first + 999, 9 + count)))
end
call('HSET', r, 'n', length + count, 'o', op, 'a', moment, 'e', length + count)

if upto > read_to and last > read_to then
  local signals = 0
  upto = math.min(upto, last)
  for _, message in ipairs(call('LPOP', P .. 'm:' .. run, upto - read_to)) do
    signals = signals + (message:byte(1) == 115 and 1 or 0)
  end
  call('HSET', r, 'q', upto)
  if signals > 0 then
    call('HINCRBY', r, 'g', -signals)
  end
end

if h[4] ~= status or more or flags ~= '' then
  local now = tonumber(moment)
  local k = call('HMGET', r, 'l', 'v', 'b', 'c', 'p')
  local l, m = k[1], k[2] .. (k[3] or '')
  change_status(run, l, h[4], status, k[4], k[5])
  if more then
    at = 10 + count
    local version, fingerprint = word(), word()
    if version ~= '' then
      local former = m
      m = version .. (k[3] or '')
      call('HSET', r, 'v', version, 'f', fingerprint)
      local due = call('ZSCORE', P .. 'q:' .. l .. former, run)
      if due and m ~= former then -- its lease ran out, and it lies where others look for it
        withdraw(run, l, former)
        offer(run, l, m, tonumber(due))
      end
    end
    local has_chunk, chunk = word(), word()
    if has_chunk == '1' then
      call('SET', P .. 'k:' .. run, chunk)
      call('DEL', P .. 'b:' .. run)
    end
    local snapped, snapshot = word(), word()
    if snapped ~= '' then
      call('SET', P .. 's:' .. run, snapshot)
      call('HSET', r, 'u', snapped)
    end
  end
  if flags ~= '' then
    disown(run, token)
    withdraw(run, l, m)
    call('HDEL', r, 'w', 'z')
    if flags:find('e', 1, true) then
      call('HSET', r, 'z', moment)
      if not k[5] then
        call('ZADD', P .. 't', moment, run)
      end
    else
      call('ZREM', P .. 't', run)
      if ARGV[7] ~= '' then
        call('HSET', r, 'd', ARGV[7])
        offer(run, l, m, tonumber(ARGV[7]))
      end
    end
  end
  if more then
    for _ = 1, tonumber(word()) do
      local child = record_of_words()
      if call('EXISTS', P .. 'r:' .. child.run) == 0 then
        make(child, now)
      end
    end
    while at <= #ARGV do
      local to, kind, body = word(), word(), word()
      local is = call('HMGET', P .. 'r:' .. to, unpack(LEFT))
      if takes(is, kind) then
        leave(to, is, kind, body, true, now)
      end
    end
  end
end
tell(run)
return {'a', length + count, moment, unread}
