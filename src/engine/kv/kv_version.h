/* kv_version.h — the versions of Redis and memcached whose answers these are. Client libraries choose what
 * they send by them. */
#pragma once
#define KV_REDIS_VERSION     "7.0.15"
#define KV_MEMCACHED_VERSION "1.6.18"
