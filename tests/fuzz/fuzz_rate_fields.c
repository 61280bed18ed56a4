/* links: nuthatch-gateway nuthatch-client nuthatch-net nuthatch-store nuthatch-message nuthatch-base */
/* Any bytes as what an upstream says of its limits, a field a line: no crash, and whatever comes of it is
 * within bounds. The same bytes as an operator's list of limits. */
#include "engine/gateway/quota/rate_fields.h"
#include "engine/gateway/quota/rate_spec.h"
#include "engine/gateway/quota/token_bucket.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { FIELDS_MAX = 64 };
#define WAIT_MS_MAX (INT64_C(31) * 86400000)
#define NOW_MS      INT64_C(1796025600000)

static void check(bool holds)
{
    if (!holds)
        abort();
}

static void check_number(int64_t number, int64_t most) { check(number >= -1 && number <= most); }

static void check_said(const struct http_fields *fields)
{
    struct rate_said said;

    rate_fields_read(&said, fields, NOW_MS);
    check(said.window_count <= RATE_WINDOWS_MAX);
    check_number(said.retry_after_ms, WAIT_MS_MAX);
    check_number(said.poll_interval_ms, WAIT_MS_MAX);
    for (size_t i = 0; i < said.window_count; i++) {
        check(said.windows[i].name != 0 && said.windows[i].remaining >= 0);
        check_number(said.windows[i].limit, INT64_C(1000000000000000));
        check_number(said.windows[i].remaining, INT64_C(1000000000000000));
        check_number(said.windows[i].window_ms, WAIT_MS_MAX);
        check_number(said.windows[i].reset_ms, WAIT_MS_MAX);
    }
}

static void check_specs(struct bytes text)
{
    struct rate_spec specs[RATE_SPECS_MAX];
    struct token_bucket bucket;
    size_t count;

    if (!rate_specs_read(text, specs, &count))
        return;
    for (size_t i = 0; i < count; i++) {
        token_bucket_init(&bucket, &specs[i], specs[i].count);
        check(token_bucket_count(&bucket, NOW_MS) == bucket.burst && bucket.burst >= 1);
        token_bucket_take(&bucket, NOW_MS);
        check(token_bucket_count(&bucket, NOW_MS) == bucket.burst - 1);
        check(token_bucket_due_ms(&bucket, NOW_MS, bucket.burst) > NOW_MS);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes rest = bytes_of(data, size);
    struct http_field list[FIELDS_MAX];
    struct http_fields fields = {list, 0};

    check_specs(rest);
    while (rest.size > 0 && fields.count < FIELDS_MAX) {
        const char *end = memchr(rest.data, '\n', rest.size);
        struct bytes line = end != NULL ? bytes_first(rest, (size_t)(end - rest.data)) : rest;
        const char *colon = line.size > 0 ? memchr(line.data, ':', line.size) : NULL;
        rest = bytes_after(rest, line.size + (end != NULL));
        if (colon == NULL)
            continue;
        list[fields.count].name = bytes_first(line, (size_t)(colon - line.data));
        list[fields.count].value = bytes_trim(bytes_after(line, list[fields.count].name.size + 1));
        list[fields.count].header = http_header_find(list[fields.count].name);
        fields.count++;
    }
    check_said(&fields);
    return 0;
}
