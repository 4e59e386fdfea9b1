-- What every script begins with. KEYS[1] is the prefix of one shard, `rx:{namespace}:{<shard>}:` with its literal hash tag: every
-- other key is that prefix and a family, so a script stays in one slot.
--
--   r:<run>  a record's hash: t token, k the last one that was given back unused, s status, v version, f fingerprint, x fence, d due,
--            l reactor and place, b refused by, c created, z ended, p parent, o last operation (8 bytes) and seq, a its time in microseconds,
--            m highest message number, g waiting signals, u seq of the snapshot
--   e:<run>  its events     m:<run>  its mail      d:<run>  its deliveries     i:<run> inputs     b:<run> elements     k:<run> chunk
--   s:<run>  its snapshot   j:<run>  tags, index   y:<root> its children       u:<root> its correlation ids    x:<run> its tombstone
--   q:<lane> what is due and unclaimed of one reactor, place, version and refusals, by time      L:<l> which such lanes there are
--   z        open sessions by the end of their lease    zl  those that ran out    zs  their leases, in seconds
--   c:<session> what it holds     cl:<session> what it held as its lease ran out, and nobody has claimed since
--   n:<reactor><status>  runs by time     h  how many      g:<tag>, w:<input>  runs by time     t  ended runs by time     ev  changes
local P, call = KEYS[1], redis.call

local function clock()
  local t = call('TIME')
  return tonumber(t[1]) + tonumber(t[2]) / 1000000
end

-- A number as it comes back the same: Lua's own `..` keeps 14 digits.
local function exact(number)
  return string.format('%.17g', number)
end

local function next_fence(fence, now)
  return math.max(fence + 1, math.floor(now * 1000))
end

local function tell(run)
  call('XADD', P .. 'ev', 'MAXLEN', '~', 1024, '*', 'r', run)
end

local function offer(run, l, m, due)
  call('ZADD', P .. 'q:' .. l .. m, exact(due), run)
  call('SADD', P .. 'L:' .. l, m)
end

local function withdraw(run, l, m)
  return call('ZREM', P .. 'q:' .. l .. m, run)
end

-- `l` is "<length>:<reactor><length>:<place>", so that no two pairs are spelt alike.
local function reactor_of(l)
  local length = l:match('^%d+:')
  return length .. l:sub(#length + 1, #length + tonumber(length:sub(1, -2)))
end

local function list_run(run, l, status, created, way)
  local name = reactor_of(l) .. status
  if way > 0 then
    call('ZADD', P .. 'n:' .. name, created, run)
  else
    call('ZREM', P .. 'n:' .. name, run)
  end
  if call('HINCRBY', P .. 'h', name, way) == 0 then
    call('HDEL', P .. 'h', name)
  end
end

local function change_status(run, l, former, status, created, parent)
  if former ~= status then
    call('HSET', P .. 'r:' .. run, 's', status)
    if not parent then
      list_run(run, l, former, created, -1)
      list_run(run, l, status, created, 1)
    end
  end
end

local function session_of(token)
  return token:match('^(.*):') or ''
end

local function alive(session, now)
  local until_ = call('ZSCORE', P .. 'z', session)
  return until_ and tonumber(until_) > now
end

local function disown(run, token)
  local session = session_of(token)
  if call('SREM', P .. 'c:' .. session, run) == 0 then
    call('SREM', P .. 'cl:' .. session, run)
  end
end
