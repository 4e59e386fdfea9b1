-- The rest of `append`: mail that was read, a status that changed, a release, an end, and what goes to others.
local run, token, status, flags, upto, count = ARGV[1], ARGV[2], ARGV[5], ARGV[6], tonumber(ARGV[8]), tonumber(ARGV[9])
local now = moment / 1000000

if upto > read_to and last > read_to then
  local signals = 0
  upto = math.min(upto, last)
  for _, message in ipairs(call('LPOP', P .. 'm:' .. run, upto - read_to)) do
    signals = signals + (message:byte(1) == 115 and 1 or 0)
  end
  if signals > 0 then
    call('HINCRBY', r, 'g', -signals)
  end
end

local k = call('HMGET', r, 'l', 'v', 'b', 'c', 'p')
local l, m = k[1], k[2] .. (k[3] or '')
change_status(run, l, h[3], status, k[4], k[5])

local more = #ARGV > 9 + count
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
  call('HDEL', r, 't', 'z')
  if flags:find('e', 1, true) then
    call('HSET', r, 'z', exact(now))
    if not k[5] then
      call('ZADD', P .. 't', exact(now), run)
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
tell(run)
return {'a', length, moment, unread}
