/* kv_info.h — the text of INFO in the making; a section's function appends its lines. */
#pragma once
#include "base/buffer.h"
#include "engine/kv/kv_admin.h"
#include "engine/kv/kv_call.h"

struct kv_info {
    const struct kv_call *call;
    struct kv_facts facts;
    nh_stats stats;
    struct buffer text;
};

#define INFO_LINE(info, format, ...)   buffer_append_format(&(info)->text, format "\r\n", __VA_ARGS__)
#define INFO_NUMBER(info, name, value) INFO_LINE(info, name ":%llu", (unsigned long long)(value))

/* kv_info_commands.c: calls and times of each command, and errors. */
void kv_info_commandstats(struct kv_info *info);
void kv_info_errorstats(struct kv_info *info);
void kv_info_latencystats(struct kv_info *info);
uint64_t kv_info_error_count(struct kv_info *info);
