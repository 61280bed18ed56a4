/* links: nuthatch-message nuthatch-base */
/* A date that is read is in range and, written out, is read as the same moment. */
#undef NDEBUG /* the assertions are the test */
#include "message/http_date.h"
#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const int64_t nows[] = {0, INT64_C(1790000000000), INT64_C(253402300799999), INT64_MIN,
                                   INT64_MAX};

    for (size_t i = 0; i < sizeof nows / sizeof nows[0]; i++) {
        char text[HTTP_DATE_BYTES];
        int64_t wall_ms = 77, again_ms;

        if (!http_date_parse(bytes_of(data, size), nows[i], &wall_ms)) {
            assert(wall_ms == 77);
            continue;
        }
        assert(wall_ms >= 0 && wall_ms <= INT64_C(253402300799000) && wall_ms % 1000 == 0);
        http_date_format(wall_ms, text);
        assert(http_date_parse(bytes_of(text, sizeof text), nows[i], &again_ms) && again_ms == wall_ms);
        if (size == HTTP_DATE_BYTES) /* all but the name of the day, which need not be right */
            assert(data[23] == '6' || __builtin_memcmp(text + 3, data + 3, HTTP_DATE_BYTES - 3) == 0);
    }
    return 0;
}
