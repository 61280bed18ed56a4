#include "engine/kv/tier/kv_tier_scripts.h"

/* As kv_tier_item.h has it: flags, value and state of a string, and back; its version. */
#define ITEM                                                                                               \
    "local P='\\0nhItem' "                                                                                 \
    "local function split(s) "                                                                             \
    "if #s<12 or s:sub(1,7)~=P then return '\\0\\0\\0\\0',s,0 end "                                        \
    "return s:sub(9,12),s:sub(13),s:byte(8)%4 end "                                                        \
    "local function join(f,v,b) "                                                                          \
    "if b==0 and f=='\\0\\0\\0\\0' and v:sub(1,7)~=P then return v end "                                   \
    "return P..string.char(b)..f..v end "                                                                  \
    "local function version(s) "                                                                           \
    "if #s>=12 and s:sub(1,7)==P then s=P..string.char(s:byte(8)%2)..s:sub(9) end "                        \
    "local h=redis.sha1hex(s):sub(1,16) "                                                                  \
    "if h=='0000000000000000' then return '0000000000000001' end return h end "
#define PUT                                                                                                \
    "local function put(s,t) "                                                                             \
    "if t=='k' then redis.call('SET',KEYS[1],s,'KEEPTTL') "                                                \
    "elseif t=='0' then redis.call('SET',KEYS[1],s) "                                                      \
    "elseif t=='-1' then redis.call('DEL',KEYS[1]) "                                                       \
    "else redis.call('SET',KEYS[1],s,'PX',t) end end "

const char kv_tier_script_persist[] = "if redis.call('EXISTS',KEYS[1])==0 then return 0 end "
                                      "redis.call('PERSIST',KEYS[1]) return 1";

const char kv_tier_script_put[] = ITEM PUT "local s=redis.call('GET',KEYS[1]) "
                                           "if not s then return {'NF',''} end "
                                           "local t,b=ARGV[3],0 "
                                           "if version(s)~=ARGV[4] then "
                                           "local _,_,before=split(s) "
                                           "if ARGV[5]~='1' or before%2==0 then return {'EX',''} end "
                                           "t='k' b=before end "
                                           "s=join(ARGV[2],ARGV[1],b) "
                                           "put(s,t) "
                                           "return {'HD',version(s)}";

const char kv_tier_script_extend[] =
    ITEM "local s=redis.call('GET',KEYS[1]) "
         "if not s then return {'NS',''} end "
         "if ARGV[3]~='' and version(s)~=ARGV[3] then return {'EX',''} end "
         "local f,v=split(s) "
         "if #v+#ARGV[1]>tonumber(ARGV[4]) then return {'NS',''} end "
         "if ARGV[2]=='A' then v=v..ARGV[1] else v=ARGV[1]..v end "
         "s=join(f,v,0) "
         "redis.call('SET',KEYS[1],s,'KEEPTTL') "
         "return {'HD',version(s)}";

/* Numbers have 64 bits and Lua's 53: two halves of ten digits each. What becomes shorter keeps its length
 * with spaces behind it, as memcached writes in place. */
const char kv_tier_script_add[] =
    ITEM PUT "local function halves(d) "
             "d=d:gsub('^0+','') "
             "if #d>20 then return nil end "
             "if #d<=10 then return 0,tonumber('0'..d) end "
             "local h,l=tonumber(d:sub(1,-11)),tonumber(d:sub(-10)) "
             "if h>1844674407 or h==1844674407 and l>3709551615 then return nil end "
             "return h,l end "
             "local s=redis.call('GET',KEYS[1]) "
             "if not s then "
             "if ARGV[5]=='' then return {'NF','','',0,''} end "
             "put(ARGV[6],ARGV[5]) "
             "return {'HD',ARGV[6],version(ARGV[6]),0,'n'} end "
             "local f,v,b=split(s) "
             "if ARGV[3]~='' and #v>0 and version(s)~=ARGV[3] then return {'EX','','',0,''} end "
             "local d=v:match('^%s*%+?(%d+)$') or v:match('^%s*%+?(%d+)%s') "
             "local h,l if d then h,l=halves(d) end "
             "if not h then return {'NN','','',0,''} end "
             "local dh,dl=halves(ARGV[2]) "
             "if ARGV[1]=='+' then "
             "h,l=h+dh,l+dl "
             "if l>=10000000000 then h,l=h+1,l-10000000000 end "
             "if h>1844674407 or h==1844674407 and l>=3709551616 then h,l=h-1844674407,l-3709551616 end "
             "elseif h<dh or h==dh and l<dl then h,l=0,0 "
             "else h,l=h-dh,l-dl end "
             "if l<0 then h,l=h-1,l+10000000000 end "
             "d=h>0 and string.format('%.0f%010.0f',h,l) or string.format('%.0f',l) "
             "local before=redis.call('PTTL',KEYS[1]) "
             "if #d>#v then b=0 end "
             "s=join(f,d..string.rep(' ',#v-#d),b) "
             "put(s,ARGV[4]) "
             "return {'HD',d,version(s),before,''}";

const char kv_tier_script_show[] =
    ITEM PUT "local s=redis.call('GET',KEYS[1]) "
             "if not s then "
             "if ARGV[2]=='' then return false end "
             "s=join('\\0\\0\\0\\0','',2) "
             "put(s,ARGV[2]) "
             "return {s,-1,'n'} end "
             "local f,v,b=split(s) "
             "local left,mark,t=redis.call('PTTL',KEYS[1]),'',ARGV[1] "
             "if b>=2 then mark='Z' "
             "elseif b==1 or ARGV[3]=='y' or "
             "ARGV[3]~='' and left>=0 and math.ceil(left/1000)<tonumber(ARGV[3]) then "
             "mark='W' "
             "if t=='' then t='k' end "
             "put(join(f,v,b+2),t) "
             "return {s,left,mark} end "
             "if t=='0' then redis.call('PERSIST',KEYS[1]) "
             "elseif t~='' then redis.call('PEXPIRE',KEYS[1],t) end "
             "return {s,left,mark}";

const char kv_tier_script_drop[] = ITEM PUT "local s=redis.call('GET',KEYS[1]) "
                                            "if not s then return 'NF' end "
                                            "if ARGV[1]~='' and version(s)~=ARGV[1] then return 'EX' end "
                                            "if ARGV[2]=='' then redis.call('DEL',KEYS[1]) return 'HD' end "
                                            "local f,v=split(s) "
                                            "put(join(f,v,1),ARGV[3]) "
                                            "return 'HD'";

const char kv_tier_script_delete_if[] = "if redis.call('GET',KEYS[1])~=ARGV[1] then return 0 end "
                                        "return redis.call('DEL',KEYS[1])";

const char kv_tier_script_expire_if[] = "if redis.call('GET',KEYS[1])~=ARGV[1] then return 0 end "
                                        "return redis.call('PEXPIRE',KEYS[1],ARGV[2])";

/* kv_rate.c in Lua, on the tier's own clock: PTTL. Numbers stay below 2^53 but for the product of a count
 * and a window, which loses less than a millionth of one. */
#define WRONG_TYPE                                                                                         \
    "return redis.error_reply('WRONGTYPE Operation against a key holding the wrong kind of value') "
#define RATE                                                                                               \
    "local limit,cost=tonumber(ARGV[1]),tonumber(ARGV[2]) "                                                \
    "local s,left=redis.call('GET',KEYS[1]),redis.call('PTTL',KEYS[1]) "                                   \
    "local pass,remaining,retry,reset=1,0,0,0 "

const char kv_tier_script_bucket[] =
    RATE "local token,debt=tonumber(ARGV[3]),0 "
         "local capacity=limit*token "
         "if s then "
         "local fraction=s:match('^bucket (%d+)$') "
         "if not fraction or #fraction>6 or left<0 then " WRONG_TYPE "end "
         "debt=math.max(0,math.min(left,2592000000)*1000000-tonumber(fraction)) end "
         "if cost>limit then pass,retry=0,-1 "
         "elseif cost>0 and debt>capacity-cost*token then "
         "pass,retry=0,math.ceil((debt+cost*token-capacity)/1000000) "
         "else debt=debt+cost*token end "
         "if debt<capacity then remaining=math.floor((capacity-debt)/token) end "
         "reset=math.ceil(debt/1000000) "
         "if pass==1 and cost>0 then "
         "redis.call('SET',KEYS[1],'bucket '..string.format('%.0f',reset*1000000-debt),'PX',"
         "string.format('%.0f',reset)) end "
         "return {pass,remaining,retry,reset}";

const char kv_tier_script_window[] =
    RATE "local window,elapsed,before,now=tonumber(ARGV[3]),0,0,0 "
         "local function until_weight(count,room) "
         "if count<=room then return 0 end "
         "return window-math.floor(room*window/count) end "
         "if s then "
         "local w,p,c=s:match('^window (%d+) (%d+) (%d+)$') "
         "if not w or #w>10 or #p>10 or #c>10 or tonumber(w)==0 or left<0 then " WRONG_TYPE "end "
         "w,before,now=tonumber(w),tonumber(p),tonumber(c) "
         "elapsed=math.max(0,2*w-left) "
         "if w~=window then "
         "now=math.max(now,before) elapsed=0 before=0 "
         "elseif elapsed>=window then elapsed,before,now=elapsed-window,now,0 end end "
         "local weight=math.ceil(before*(window-elapsed)/window) "
         "if cost>0 and weight+now>limit-cost then "
         "pass=0 "
         "local room=limit-now-cost "
         "if cost>limit then retry=-1 "
         "elseif room>=0 then retry=until_weight(before,room)-elapsed "
         "else retry=window-elapsed+until_weight(now,limit-cost) end "
         "else now=now+cost end "
         "remaining=math.max(0,limit-weight-now) "
         "if now>0 then reset=2*window-elapsed elseif before>0 then reset=window-elapsed end "
         "if pass==1 and cost>0 then "
         "redis.call('SET',KEYS[1],string.format('window %.0f %.0f %.0f',window,before,now),'PX',"
         "string.format('%.0f',2*window-elapsed)) end "
         "return {pass,remaining,retry,reset}";

const char kv_tier_script_store[] = "local there=redis.call('EXISTS',KEYS[1]) "
                                    "if ARGV[2]=='0' then redis.call('SET',KEYS[1],ARGV[1]) "
                                    "else redis.call('SET',KEYS[1],ARGV[1],'PX',ARGV[2]) end "
                                    "return there";
