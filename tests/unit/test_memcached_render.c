/* links: nuthatch-memcached nuthatch-message nuthatch-base */
#include "base/compiler.h"
#include "protocol/memcached/memcached.h"
#include "test.h"

#define ITEM                                                                                               \
    .item = {.key = BYTES_INIT("k"), .value = BYTES_INIT("a\r\nb"), .version = 77, .flags = 4294967295}

TEST(every_outcome_of_memcached_is_said_in_its_words)
{
    static const struct {
        struct outcome outcome;
        struct bytes wanted;
    } cases[] = {
        {{.kind = OUTCOME_item, ITEM}, BYTES_INIT("VALUE k 4294967295 4\r\na\r\nb\r\n")},
        {{.kind = OUTCOME_item_version, ITEM}, BYTES_INIT("VALUE k 4294967295 4 77\r\na\r\nb\r\n")},
        {{.kind = OUTCOME_item, .item = {.key = BYTES_INIT("k")}}, BYTES_INIT("VALUE k 0 0\r\n\r\n")},
        {{.kind = OUTCOME_end}, BYTES_INIT("END\r\n")},
        {{.kind = OUTCOME_stored}, BYTES_INIT("STORED\r\n")},
        {{.kind = OUTCOME_not_stored}, BYTES_INIT("NOT_STORED\r\n")},
        {{.kind = OUTCOME_exists}, BYTES_INIT("EXISTS\r\n")},
        {{.kind = OUTCOME_not_found}, BYTES_INIT("NOT_FOUND\r\n")},
        {{.kind = OUTCOME_deleted}, BYTES_INIT("DELETED\r\n")},
        {{.kind = OUTCOME_touched}, BYTES_INIT("TOUCHED\r\n")},
        {{.kind = OUTCOME_ok}, BYTES_INIT("OK\r\n")},
        {{.kind = OUTCOME_unknown}, BYTES_INIT("ERROR\r\n")},
        {{.kind = OUTCOME_version, .bytes = BYTES_INIT("1.2.3")}, BYTES_INIT("VERSION 1.2.3\r\n")},
        {{.kind = OUTCOME_stat, .item = {.key = BYTES_INIT("pid"), .value = BYTES_INIT("7")}},
         BYTES_INIT("STAT pid 7\r\n")},
        {{.kind = OUTCOME_client_error, .bytes = BYTES_INIT("a\r\nb")},
         BYTES_INIT("CLIENT_ERROR a  b\r\n")},
        {{.kind = OUTCOME_server_error, .bytes = BYTES_INIT("no")}, BYTES_INIT("SERVER_ERROR no\r\n")},
        {{.kind = OUTCOME_unsigned_integer, .unsigned_integer = UINT64_MAX},
         BYTES_INIT("18446744073709551615\r\n")},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct buffer output = {0};
        memcached_render(&output, &cases[i].outcome);
        EXPECT_TEXT(buffer_bytes(&output), cases[i].wanted);
        buffer_fini(&output);
    }
}

RUN_TESTS(TEST_ROW(every_outcome_of_memcached_is_said_in_its_words))
