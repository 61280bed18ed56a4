#include "fleet_scripts.h"

/* What somebody else has put where ours should be goes: else the tier would refuse these scripts for ever.
 */
#define MEND                                                                                               \
    "local function mend(key, kind)\n"                                                                     \
    "  local found = redis.call('TYPE', key).ok\n"                                                         \
    "  if found ~= kind and found ~= 'none' then redis.call('DEL', key) end\n"                             \
    "end\n"

/* The names outlive what they name. */
#define OUTLIVE                                                                                            \
    "local function outlive(px)\n"                                                                         \
    "  if redis.call('PTTL', KEYS[2]) < tonumber(px) then redis.call('PEXPIRE', KEYS[2], px) end\n"        \
    "end\n"

/* However many variants clients think of, a URL has no more than so many keys. */
#define BOUND                                                                                              \
    "local function bound()\n"                                                                             \
    "  if redis.call('SCARD', KEYS[2]) <= 400 then return end\n"                                           \
    "  for _, name in ipairs(redis.call('SMEMBERS', KEYS[2])) do\n"                                        \
    "    if redis.call('EXISTS', name) == 0 then redis.call('SREM', KEYS[2], name) end\n"                  \
    "  end\n"                                                                                              \
    "  if redis.call('SCARD', KEYS[2]) <= 300 then return end\n"                                           \
    "  for _, name in ipairs(redis.call('SMEMBERS', KEYS[2])) do redis.call('DEL', name) end\n"            \
    "  redis.call('DEL', KEYS[2])\n"                                                                       \
    "end\n"

#define TELL                                                                                               \
    "local function tell(key)\n"                                                                           \
    "  mend(key, 'string')\n"                                                                              \
    "  local old = redis.call('GET', key)\n"                                                               \
    "  if old then redis.call('SET', key, old, 'KEEPTTL')\n"                                               \
    "  else redis.call('SET', key, 'x', 'PX', 1000) redis.call('DEL', key) end\n"                          \
    "end\n"

/* Purges are carried out even where there is no memory for more. */
#define WHATEVER_MEMORY "#!lua flags=allow-oom\n"

const char fleet_script_take[] =
    MEND OUTLIVE BOUND "mend(KEYS[1], 'string')\n"
                       "mend(KEYS[2], 'set')\n"
                       "if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end\n"
                       "bound()\n"
                       "redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])\n"
                       "redis.call('SADD', KEYS[2], KEYS[1])\n"
                       "outlive(ARGV[2])\n"
                       "return 1\n";

const char fleet_script_renew[] = "if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end\n"
                                  "return redis.call('PEXPIRE', KEYS[1], ARGV[2])\n";

const char fleet_script_fill[] = MEND OUTLIVE BOUND TELL
    "if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end\n"
    "local px = ARGV[2]\n"
    "mend(KEYS[2], 'set')\n"
    "mend(KEYS[3], 'string')\n"
    "bound()\n"
    "redis.call('DEL', KEYS[1])\n"
    "redis.call('SREM', KEYS[2], KEYS[1])\n"
    "local pieces = ARGV[5] .. string.sub(ARGV[3], 2, 17) .. ':'\n"
    "for index = 0, tonumber(ARGV[6]) - 1 do\n"
    "  if redis.call('PEXPIRE', pieces .. index, px) == 0 then tell(KEYS[3]) return 0 end\n" /* it has gone
                                                                                              */
    "  redis.call('SADD', KEYS[2], pieces .. index)\n"
    "end\n"
    "local old = redis.call('GET', KEYS[3])\n"
    "if old and string.sub(old, 1, 1) == 'r' then\n" /* its pieces */
    "  local index, piece = 0, ARGV[5] .. string.sub(old, 2, 17) .. ':'\n"
    "  while index < 64 and redis.call('DEL', piece .. index) == 1 do\n"
    "    redis.call('SREM', KEYS[2], piece .. index)\n"
    "    index = index + 1\n"
    "  end\n"
    "end\n"
    "local function put(key, value)\n"
    "  redis.call('SET', key, value, 'PX', px)\n"
    "  redis.call('SADD', KEYS[2], key)\n"
    "end\n"
    "put(KEYS[4], ARGV[4])\n"
    "put(KEYS[3], ARGV[3])\n"
    "if KEYS[5] then\n"
    "  mend(KEYS[5], 'string')\n"
    "  local left = redis.call('PTTL', KEYS[5])\n"
    "  if redis.call('GET', KEYS[5]) ~= ARGV[7] or left < tonumber(px) then\n"
    "    redis.call('SET', KEYS[5], ARGV[7], 'PX', string.format('%.0f', math.max(left, px)))\n"
    "    redis.call('SADD', KEYS[2], KEYS[5])\n"
    "  end\n"
    "end\n"
    "outlive(px)\n"
    "return 1\n";

const char fleet_script_release[] =
    MEND OUTLIVE TELL "if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end\n"
                      "redis.call('DEL', KEYS[1])\n"
                      "mend(KEYS[2], 'set')\n"
                      "redis.call('SREM', KEYS[2], KEYS[1])\n"
                      "if ARGV[2] == '' then\n"
                      "  tell(KEYS[3])\n"
                      "else\n"
                      "  redis.call('SET', KEYS[3], ARGV[2], 'PX', ARGV[3])\n"
                      "  redis.call('SADD', KEYS[2], KEYS[3])\n"
                      "  outlive(ARGV[3])\n"
                      "end\n"
                      "return 1\n";

/* The tier may have evicted the names, and kept what they name. So the URL's own witness goes whether it is
 * named or not; without it no variant counts (fleet.h, (3)). */
const char fleet_script_purge[] = WHATEVER_MEMORY MEND TELL
    "mend(KEYS[1], 'set')\n"
    "mend(KEYS[2], 'string')\n"
    "local function soften(name)\n"
    "  mend(name, 'string')\n"
    "  local text = redis.call('GET', name)\n"
    "  if text and string.sub(text, 1, 1) == 'r' then\n"
    "    redis.call('SET', name, string.sub(text, 1, 17) .. 's', 'KEEPTTL')\n"
    "    return true\n"
    "  end\n"
    "end\n"
    "local is_soft, names = ARGV[1] == 's', redis.call('SMEMBERS', KEYS[1])\n"
    "for _, name in ipairs(names) do\n"
    "  if string.find(name, '}:l', 1, true) then\n"
    "    redis.call('DEL', name)\n"
    "    tell((string.gsub(name, '}:l', '}:w', 1)))\n" /* who waits for what it was to bring */
    "  elseif not is_soft then\n"
    "    redis.call('DEL', name)\n"
    "  elseif string.find(name, '}:w', 1, true) then\n"
    "    soften(name)\n"
    "  end\n"
    "end\n"
    "redis.call('DEL', KEYS[3])\n"
    "if not is_soft then\n"
    "  redis.call('DEL', KEYS[1], KEYS[2])\n"
    "elseif #names == 0 and not soften(KEYS[2]) then\n" /* variants that are not known */
    "  redis.call('DEL', KEYS[2])\n"
    "end\n"
    "tell(KEYS[2])\n"
    "return 1\n";

const char fleet_script_turn[] =
    MEND "mend(KEYS[1], 'string')\n"
         "local holder, left = redis.call('GET', KEYS[1]), redis.call('PTTL', KEYS[1])\n"
         "if holder and holder ~= ARGV[1] and left >= 0 then return math.max(left, 1) end\n"
         "if ARGV[2] ~= '0' then redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])\n"
         "elseif holder == ARGV[1] then redis.call('DEL', KEYS[1]) end\n"
         "return 0\n";

/* A limit is when it will be full again, as in token_bucket.h. */
const char fleet_script_share[] =
    MEND "mend(KEYS[1], 'hash')\n"
         "local time = redis.call('TIME')\n"
         "local us = time[1] * 1000000 + time[2]\n"
         "local count, due, lacking, longest = math.min(tonumber(ARGV[1]), 4000), 0, {}, 0\n"
         "for i = 4, #ARGV, 2 do\n"
         "  local burst, interval = tonumber(ARGV[i]), tonumber(ARGV[i + 1])\n"
         "  local full = tonumber(redis.call('HGET', KEYS[1], i) or '')\n"
         "  if not full then full = ARGV[3] == '1' and us + burst * interval or us end\n"
         "  local lacks = math.min(math.max(full - us, 0) + ARGV[2] * interval, 2 * burst * interval)\n"
         "  count = math.min(count, math.max(burst - math.ceil(lacks / interval), 0))\n"
         "  due = math.max(due, lacks - (burst - 1) * interval)\n"
         "  lacking[i] = lacks\n"
         "end\n"
         "local left = 100\n"
         "for i = 4, #ARGV, 2 do\n"
         "  local burst, interval = tonumber(ARGV[i]), tonumber(ARGV[i + 1])\n"
         "  local lacks = lacking[i] + count * interval\n"
         "  left = math.min(left, math.floor(math.max(burst * interval - lacks, 0) * 100 / (burst * "
         "interval)))\n"
         "  longest = math.max(longest, math.ceil(lacks / 1000))\n"
         "  redis.call('HSET', KEYS[1], i, string.format('%.0f', us + lacks))\n"
         "end\n"
         "redis.call('PEXPIRE', KEYS[1], string.format('%.0f', math.max(86400000, 2 * longest)))\n"
         "due = math.min(math.ceil(math.max(due, 0) / 1000), 16777215)\n"
         "return string.format('%.0f', (count * 16777216 + due) * 128 + left)\n";

const char fleet_script_here[] = MEND "mend(KEYS[1], 'zset')\n"
                                      "local time = redis.call('TIME')\n"
                                      "local ms = time[1] * 1000 + math.floor(time[2] / 1000)\n"
                                      "redis.call('ZADD', KEYS[1], ms, ARGV[1])\n"
                                      "redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', ms - ARGV[2])\n"
                                      "redis.call('PEXPIRE', KEYS[1], ARGV[2])\n"
                                      "return redis.call('ZCARD', KEYS[1])\n";

/* The bounds are those of fleet_log.h. */
const char fleet_script_log[] = WHATEVER_MEMORY MEND
    "mend(KEYS[1], 'string')\n"
    "local log, now = redis.call('GET', KEYS[1]), redis.call('TIME')\n"
    "local us = now[1] * 1000000 + now[2]\n"
    "local number, forgotten, left, tags, records\n"
    "if not log or #log < 8224 or string.sub(log, 1, 8) ~= 'nhPurge1' or ARGV[6] == '1' then\n"
    "  number, forgotten, left, tags, records = us, us, us, string.rep('\\0', 8192), ''\n"
    "else\n"
    "  number, forgotten, left = struct.unpack('<I8I8I8', log, 9)\n"
    "  tags, records = string.sub(log, 33, 8224), string.sub(log, 8225)\n"
    "  if ARGV[2] == '' then return string.format('%.0f', number) end\n"
    "end\n"
    "if ARGV[2] ~= '' then\n"
    "  number = math.max(number + 1, us)\n"
    "  records = records .. struct.pack('<I8', number) .. ARGV[1] .. ARGV[2] .. ARGV[3]\n"
    "    .. struct.pack('<I2I2', tonumber(ARGV[4]), #ARGV[5]) .. ARGV[5]\n"
    "end\n"
    "local count, at = 0, 1\n"
    "while at <= #records do\n"
    "  at = at + 22 + struct.unpack('<I2', records, at + 20)\n"
    "  count = count + 1\n"
    "end\n"
    "at = 1\n"
    "while count > 256 or #records - at >= 24576 do\n" /* the oldest leave */
    "  left = struct.unpack('<I8', records, at)\n"
    "  local rule = string.sub(records, at + 16, at + 16)\n"
    "  local place, size = struct.unpack('<I2I2', records, at + 18)\n"
    "  if rule == 't' then\n"
    "    tags = string.sub(tags, 1, place * 8) .. struct.pack('<I8', left) .. string.sub(tags, place * 8 + "
    "9)\n"
    "  elseif rule == 'p' then\n"
    "    forgotten = left\n"
    "  end\n"
    "  at = at + 22 + size\n"
    "  count = count - 1\n"
    "end\n"
    "redis.call('SET', KEYS[1], 'nhPurge1' .. struct.pack('<I8I8I8', number, forgotten, left) .. tags\n"
    "  .. string.sub(records, at))\n"
    "return string.format('%.0f', number)\n";
