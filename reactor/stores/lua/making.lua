-- A record is made of words of ARGV, in the order in which `make` takes them.
local at = 1

local function word()
  at = at + 1
  return ARGV[at - 1]
end

local function words()
  local list = {}
  for i = 1, tonumber(word()) do
    list[i] = word()
  end
  return list
end

local function record_of_words()
  return {
    run = word(), root = word(), parent = word(), l = word(), version = word(), fingerprint = word(), status = word(), due = word(),
    token = word(), inputs = word(), elements = word(), shown = word(), tags = words(), index = words(), events = words(),
  }
end

local function make(record, now)
  local run, parent, l, due, token = record.run, record.parent, record.l, record.due, record.token
  local r, m, fence, created = P .. 'r:' .. run, record.version, next_fence(0, now), exact(now)
  call('HSET', r, 'o', '--------' .. #record.events, 's', record.status, 'v', m, 'f', record.fingerprint, 'x', fence, 'l', l, 'c', created)
  if parent ~= '' then
    call('HSET', r, 'p', parent)
  else
    list_run(run, l, record.status, created, 1)
    for _, tag in ipairs(record.tags) do
      call('ZADD', P .. 'g:' .. tag, created, run)
    end
    for _, input in ipairs(record.index) do
      call('ZADD', P .. 'w:' .. input, created, run)
    end
  end
  if record.root ~= run then
    call('SADD', P .. 'y:' .. record.root, run)
  end
  for family, value in pairs({['i:'] = record.inputs, ['b:'] = record.elements, ['j:'] = record.shown}) do
    if value ~= '' then
      call('SET', P .. family .. run, value)
    end
  end
  for first = 1, #record.events, 1000 do
    call('RPUSH', P .. 'e:' .. run, unpack(record.events, first, math.min(first + 999, #record.events)))
  end
  if token ~= '' then
    local session = session_of(token)
    call('HSET', r, 't', token)
    if alive(session, now) then
      call('SADD', P .. 'c:' .. session, run)
    else
      call('SADD', P .. 'cl:' .. session, run)
      offer(run, l, m, tonumber(call('ZSCORE', P .. 'z', session) or call('ZSCORE', P .. 'zl', session) or 0))
    end
  elseif due ~= '' then
    call('HSET', r, 'd', due)
    offer(run, l, m, tonumber(due))
  end
  tell(run)
  return {created, fence}
end
