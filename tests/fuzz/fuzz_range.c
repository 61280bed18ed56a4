/* links: nuthatch-message nuthatch-base */
/* Any bytes as Range and Content-Range: what comes out lies within the whole, is apart from each other and
 * says of every byte near the edges what a naive reading of the list says. */
#undef NDEBUG /* the assertions are the test */
#include "message/http.h"
#include "message/http_range.h"
#include <assert.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Whether one of the list's ranges holds `position`; the list is known to be well formed. */
static bool naive_holds(const char *list, uint64_t size, uint64_t position)
{
    bool holds = false;

    for (;;) {
        char *after;
        unsigned long long first, last;
        list += strspn(list, " \t,");
        if (*list == '\0')
            return holds;
        if (*list == '-') {
            last = strtoull(list + 1, &after, 10); /* saturates */
            holds |= last >= size || position >= size - last;
        } else {
            first = strtoull(list, &after, 10);
            last = after[1] >= '0' && after[1] <= '9' ? strtoull(after + 1, &after, 10) : (after++, ~0ULL);
            holds |= position >= first && position <= last;
        }
        list = after;
    }
}

static void check_ranges(const char *text, size_t text_size, uint64_t size)
{
    struct http_ranges ranges = http_ranges_of(bytes_of(text, text_size), size);

    assert(ranges.count <= HTTP_RANGES_MAX && (ranges.kind == HTTP_RANGES_PARTS) == (ranges.count > 0));
    for (size_t i = 0; i < ranges.count; i++) {
        const struct http_range *range = &ranges.list[i];
        const uint64_t positions[] = {0,          range->start - 1, range->start, range->end - 1,
                                      range->end, size - 1};
        assert(range->start < range->end && range->end <= size);
        for (size_t j = 0; j < i; j++)
            assert(range->start > ranges.list[j].end || ranges.list[j].start > range->end);
        for (size_t k = 0; k < sizeof positions / sizeof positions[0]; k++) {
            bool is_in = false;
            if (positions[k] >= size)
                continue;
            for (size_t j = 0; j < ranges.count; j++)
                is_in |= positions[k] >= ranges.list[j].start && positions[k] < ranges.list[j].end;
            assert(is_in == naive_holds(text + 6, size, positions[k]));
        }
    }
    if (ranges.kind == HTTP_RANGES_OUTSIDE && size > 0)
        assert(!naive_holds(text + 6, size, 0) && !naive_holds(text + 6, size, size - 1));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint64_t sizes[] = {0, 1, 10, 1000, UINT64_C(1) << 33, INT64_MAX};
    char *text = malloc(size + 1);
    struct http_range range;
    uint64_t whole;

    if (text == NULL)
        return 0;
    if (size > 0)
        memcpy(text, data, size);
    text[size] = '\0';
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        check_ranges(text, size, sizes[i]);
    if (http_content_range_read(bytes_of(text, size), &range, &whole)) {
        char written[HTTP_CONTENT_RANGE_BYTES_MAX];
        struct http_range again;
        uint64_t whole_again;
        assert(range.start < range.end && range.end <= whole && whole <= INT64_MAX);
        assert(http_content_range_read(bytes_of(written, http_content_range_format(written, &range, whole)),
                                       &again, &whole_again));
        assert(again.start == range.start && again.end == range.end && whole_again == whole);
    }
    free(text);
    return 0;
}
