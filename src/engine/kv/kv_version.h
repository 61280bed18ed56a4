/* kv_version.h — the version of Redis whose answers these are. Client libraries choose what they send by
 * it. */
#pragma once
#define KV_REDIS_VERSION "7.0.15"
