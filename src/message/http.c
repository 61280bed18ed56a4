#include "message/http.h"
#include "base/compiler.h"
#include "base/words.h"
#include "message/http_syntax.h"
#include <assert.h>

#define T HTTP_BYTE_TOKEN
#define V HTTP_BYTE_VALUE
#define H HTTP_BYTE_HOST
#define P HTTP_BYTE_PATH
#define Q HTTP_BYTE_QUERY
#define X HTTP_BYTE_HEX
#define U HTTP_BYTE_UNWISE
/* clang-format off */
const uint8_t http_byte_classes[256] = {
    ['\t'] = V,         [' '] = V,           ['!'] = T | V | H | P, ['"'] = V,
    ['#'] = T | V,      ['$'] = T | V | H | P, ['%'] = T | V,       ['&'] = T | V | H | P,
    ['\''] = T | V | H | P, ['('] = V | H | P, [')'] = V | H | P,   ['*'] = T | V | H | P,
    ['+'] = T | V | H | P,  [','] = V | H | P, ['-'] = T | V | H | P, ['.'] = T | V | H | P,
    ['/'] = V | P,      ['0' ... '9'] = T | V | H | P | X,
    [':'] = V | P,      [';'] = V | H | P,   ['<'] = V,             ['='] = V | H | P,
    ['>'] = V,          ['?'] = V | Q,       ['@'] = V | P,
    ['A' ... 'F'] = T | V | H | P | X,       ['G' ... 'Z'] = T | V | H | P,
    ['['] = V | U,      ['\\'] = V | Q,      [']'] = V | U,         ['^'] = T | V | U,
    ['_'] = T | V | H | P,  ['`'] = T | V | U,
    ['a' ... 'f'] = T | V | H | P | X,       ['g' ... 'z'] = T | V | H | P,
    ['{'] = V | U,      ['|'] = T | V | U,   ['}'] = V | U,         ['~'] = T | V | H | P,
    [0x80 ... 0xff] = V,
};
/* clang-format on */
#undef T
#undef V
#undef H
#undef P
#undef Q
#undef X
#undef U

static inline uint32_t load_4(const char *data)
{
    uint32_t word;
    memcpy(&word, data, sizeof word);
    return word;
}

static inline uint16_t load_2(const char *data)
{
    uint16_t word;
    memcpy(&word, data, sizeof word);
    return word;
}

enum { HEADER_BYTES_MIN = 2, HEADER_BYTES_MAX = 25 };
/* clang-format off */
#define HEADER_SIZES(S) \
    S(2) S(3) S(4) S(5) S(6) S(7) S(8) S(9) S(10) S(11) S(12) S(13) S(14) S(15) S(16) S(17) S(18) S(19) \
    S(20) S(21) S(22) S(23) S(24) S(25)
/* clang-format on */

#define HTTP_HEADER(id, name, kind)                                                                        \
    static_assert(sizeof(name) - 1 >= HEADER_BYTES_MIN && sizeof(name) - 1 <= HEADER_BYTES_MAX,            \
                  "HEADER_SIZES lacks the size of " name);
#include "tables/http_headers.def"
#undef HTTP_HEADER

/* Equal but for the case of the row's letters. Rows are made of letters, digits and '-': bit 6 tells a
 * letter from the rest, and bit 5 its case. */
static inline __attribute__((always_inline)) bool is_same_word(uint64_t written, uint64_t row)
{
    return ((written ^ row) & ~((row & WORD_OF(0x40U)) >> 1)) == 0;
}

/* `size` is a constant wherever this is expanded, so what remains is one or a few word compares. */
static inline __attribute__((always_inline)) bool is_row(const char *written, const char *row, size_t size)
{
    if (size >= 8) {
        for (size_t i = 0; i + 8 <= size; i += 8)
            if (!is_same_word(word_load(written + i), word_load(row + i)))
                return false;
        return size % 8 == 0 || is_same_word(word_load(written + size - 8), word_load(row + size - 8));
    }
    if (size >= 4)
        return is_same_word(load_4(written), load_4(row)) &&
               is_same_word(load_4(written + size - 4), load_4(row + size - 4));
    return is_same_word(load_2(written), load_2(row)) &&
           is_same_word(load_2(written + size - 2), load_2(row + size - 2));
}

static inline __attribute__((always_inline)) enum http_header find_of_size(const char *written, size_t size)
{
#define HTTP_HEADER(id, name, kind)                                                                        \
    if (size == sizeof(name) - 1 && is_row(written, name, size))                                           \
        return HTTP_HEADER_##id;
#include "tables/http_headers.def"
#undef HTTP_HEADER
    return HTTP_HEADER_OTHER;
}

enum http_header http_header_find(struct bytes name)
{
    switch (name.size) {
#define S(size)                                                                                            \
    case size: return find_of_size(name.data, size);
        HEADER_SIZES(S)
#undef S
    default: return HTTP_HEADER_OTHER;
    }
}

struct bytes http_header_name(enum http_header header)
{
    static const struct bytes names[] = {
        BYTES_INIT(""),
#define HTTP_HEADER(id, name, kind) BYTES_INIT(name),
#include "tables/http_headers.def"
#undef HTTP_HEADER
    };
    return names[header];
}

enum http_header_kind http_header_kind(enum http_header header)
{
    static const uint8_t kinds[] = {
        HTTP_HEADER_END_TO_END,
#define HTTP_HEADER(id, name, kind) HTTP_HEADER_##kind,
#include "tables/http_headers.def"
#undef HTTP_HEADER
    };
    return (enum http_header_kind)kinds[header];
}

enum http_method http_method_find(struct bytes name)
{
#define METHOD(method)                                                                                     \
    if (memcmp(name.data, #method, sizeof #method - 1) == 0)                                               \
        return HTTP_METHOD_##method;
    switch (name.size) {
    case 3: METHOD(GET) METHOD(PUT) break;
    case 4: METHOD(HEAD) METHOD(POST) break;
    case 5: METHOD(PATCH) METHOD(TRACE) METHOD(QUERY) break;
    case 6: METHOD(DELETE) break;
    case 7: METHOD(OPTIONS) METHOD(CONNECT) break;
    default: break;
    }
#undef METHOD
    return HTTP_METHOD_OTHER;
}

struct bytes http_status_reason(int status)
{
    switch (status) {
#define HTTP_STATUS(code, reason, heuristic)                                                               \
    case code:                                                                                             \
        return BYTES(reason);
#include "tables/http_statuses.def"
#undef HTTP_STATUS
    default: return BYTES("");
    }
}

const struct http_field *http_fields_find(const struct http_fields *fields, enum http_header header)
{
    for (size_t i = 0; i < fields->count; i++)
        if (fields->list[i].header == header)
            return &fields->list[i];
    return NULL;
}

const struct http_field *http_fields_find_name(const struct http_fields *fields, struct bytes name)
{
    for (size_t i = 0; i < fields->count; i++)
        if (bytes_equal_nocase(fields->list[i].name, name))
            return &fields->list[i];
    return NULL;
}

bool http_method_is_safe(enum http_method method)
{
    switch (method) {
    case HTTP_METHOD_GET:
    case HTTP_METHOD_HEAD:
    case HTTP_METHOD_OPTIONS:
    case HTTP_METHOD_TRACE:
    case HTTP_METHOD_QUERY: return true;
    case HTTP_METHOD_OTHER:
    case HTTP_METHOD_POST:
    case HTTP_METHOD_PUT:
    case HTTP_METHOD_PATCH:
    case HTTP_METHOD_DELETE:
    case HTTP_METHOD_CONNECT: return false;
    }
    UNREACHABLE();
}

bool http_list_next(struct bytes *list, struct bytes *element)
{
    while (list->size > 0) {
        const char *comma = memchr(list->data, ',', list->size);
        size_t size = comma != NULL ? (size_t)(comma - list->data) : list->size;
        struct bytes found = bytes_trim(bytes_first(*list, size));

        *list = bytes_after(*list, comma != NULL ? size + 1 : size);
        if (found.size > 0) {
            *element = found;
            return true;
        }
    }
    return false;
}

bool http_connection_names(const struct http_fields *fields, struct bytes name)
{
    for (size_t i = 0; i < fields->count; i++) {
        struct bytes list = fields->list[i].value, option;

        if (fields->list[i].header != HTTP_HEADER_CONNECTION)
            continue;
        while (http_list_next(&list, &option))
            if (bytes_equal_nocase(option, name))
                return true;
    }
    return false;
}

static void rebase(struct bytes *bytes, const char *from, size_t size, const char *to)
{
    size_t offset = (uintptr_t)bytes->data - (uintptr_t)from;

    if (offset <= size && bytes->size <= size - offset)
        bytes->data = to + offset;
}

void http_request_rebase(struct http_request *request, const char *from, size_t size, const char *to)
{
    rebase(&request->method_name, from, size, to);
    rebase(&request->scheme, from, size, to);
    rebase(&request->authority, from, size, to);
    rebase(&request->path, from, size, to);
    rebase(&request->query, from, size, to);
    for (size_t i = 0; i < request->fields.count; i++) {
        rebase(&request->fields.list[i].name, from, size, to);
        rebase(&request->fields.list[i].value, from, size, to);
    }
}

bool http_is_token(struct bytes name)
{
    for (size_t i = 0; i < name.size; i++)
        if (!http_byte_is(name.data[i], HTTP_BYTE_TOKEN))
            return false;
    return name.size > 0;
}

/* A tab too, which the caller sorts out. */
static inline bool has_control(uint64_t word)
{
    return (word_has_below(word, 0x20) | word_has(word, 0x7f)) != 0;
}

static bool are_value_bytes(const char *data, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (!http_byte_is(data[i], HTTP_BYTE_VALUE))
            return false;
    return true;
}

bool http_is_field_value(struct bytes value)
{
    const char *at = value.data;
    size_t left = value.size;

    for (; left >= 8; at += 8, left -= 8)
        if (UNLIKELY(has_control(word_load(at))) && !are_value_bytes(at, 8))
            return false;
    return are_value_bytes(at, left);
}
