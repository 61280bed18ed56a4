#include "accept_encoding.h"
#include "base/compiler.h"
#include <string.h>

enum { WEIGHT_MAX = 1000, UNSAID = UINT16_MAX };

static const struct bytes names[CODING_COUNT] = {
#define CODING(id, name) [CODING_##id] = BYTES_INIT(name),
#include "tables/codings.def"
#undef CODING
    [CODING_IDENTITY] = BYTES_INIT("identity"),
};

struct bytes coding_name(enum coding coding) { return names[coding]; }

/* "q=0.8" and its like (RFC 9110 §12.4.2) in thousandths; what is no weight is 0. */
static uint16_t weight_of(struct bytes text)
{
    unsigned weight = 0, unit = WEIGHT_MAX;

    if (text.size < 3 || byte_to_lower(text.data[0]) != 'q' || text.data[1] != '=' ||
        (text.data[2] != '0' && text.data[2] != '1') || text.size > sizeof "q=0.999" - 1)
        return 0;
    if (text.size > 3 && text.data[3] != '.')
        return 0;
    weight = (unsigned)(text.data[2] - '0') * WEIGHT_MAX;
    for (size_t i = 4; i < text.size; i++) {
        if (text.data[i] < '0' || text.data[i] > '9')
            return 0;
        unit /= 10;
        weight += (unsigned)(text.data[i] - '0') * unit;
    }
    return weight <= WEIGHT_MAX ? (uint16_t)weight : 0;
}

static void read_element(struct accepted_codings *accepted, uint16_t *others, struct bytes element)
{
    const char *semicolon = memchr(element.data, ';', element.size);
    struct bytes name = element;
    uint16_t weight = WEIGHT_MAX;

    if (semicolon != NULL) {
        name = bytes_trim(bytes_first(element, (size_t)(semicolon - element.data)));
        weight = weight_of(bytes_trim(bytes_after(element, (size_t)(semicolon + 1 - element.data))));
    }
    if (bytes_equal(name, BYTES("*"))) {
        *others = weight;
        return;
    }
    if (bytes_equal_nocase(name, BYTES("x-gzip"))) /* RFC 9110 §8.4.1.3 */
        name = names[CODING_GZIP];
    for (int i = 0; i < CODING_COUNT; i++)
        if (bytes_equal_nocase(name, names[i]))
            accepted->weights[i] = weight;
}

struct accepted_codings accepted_codings_of(const struct http_fields *fields)
{
    struct accepted_codings accepted = {.is_said = false};
    uint16_t others = UNSAID;

    for (int i = 0; i < CODING_COUNT; i++)
        accepted.weights[i] = UNSAID;
    for (size_t i = 0; i < fields->count; i++) {
        struct bytes list = fields->list[i].value, element;
        if (fields->list[i].header != HTTP_HEADER_ACCEPT_ENCODING)
            continue;
        accepted.is_said = true;
        while (http_list_next(&list, &element))
            read_element(&accepted, &others, element);
    }
    accepted.names_identity = accepted.weights[CODING_IDENTITY] != UNSAID;
    for (int i = 0; i < CODING_COUNT; i++) {
        if (accepted.weights[i] != UNSAID)
            continue;
        if (others != UNSAID)
            accepted.weights[i] = others;
        else
            accepted.weights[i] = i == CODING_IDENTITY ? 1 : 0;
    }
    return accepted;
}

enum coding coding_choose(const struct accepted_codings *accepted)
{
    enum coding best = CODING_IDENTITY;
    /* Identity is the fallback, unless the client says what it is worth. */
    uint16_t best_weight = accepted->names_identity ? accepted->weights[CODING_IDENTITY] : 0;

    if (!accepted->is_said)
        return CODING_IDENTITY;
    for (int i = 0; i < CODING_IDENTITY; i++) {
        bool is_as_good = best == CODING_IDENTITY && accepted->weights[i] == best_weight && best_weight > 0;
        if (accepted->weights[i] > best_weight || is_as_good) {
            best = (enum coding)i;
            best_weight = accepted->weights[i];
        }
    }
    return best;
}

size_t accepted_codings_format(const struct accepted_codings *accepted,
                               char text[ACCEPTED_CODINGS_BYTES_MAX])
{
    /* In the order of their names, which is nobody's preference. */
    static const enum coding order[] = {CODING_BROTLI, CODING_GZIP, CODING_ZSTD};
    static const struct bytes refusal = BYTES_INIT("identity;q=0");
    size_t size = 0;

    if (!accepted->is_said)
        return 0;
    for (size_t i = 0; i < COUNT_OF(order); i++) {
        struct bytes name = names[order[i]];
        if (accepted->weights[order[i]] == 0)
            continue;
        if (size > 0) {
            text[size++] = ',';
            text[size++] = ' ';
        }
        memcpy(text + size, name.data, name.size);
        size += name.size;
    }
    if (size == 0) {
        memcpy(text, names[CODING_IDENTITY].data, names[CODING_IDENTITY].size);
        size = names[CODING_IDENTITY].size;
        if (accepted->weights[CODING_IDENTITY] > 0)
            return size;
        memcpy(text, refusal.data, refusal.size);
        return refusal.size;
    }
    if (accepted->weights[CODING_IDENTITY] == 0) {
        text[size++] = ',';
        text[size++] = ' ';
        memcpy(text + size, refusal.data, refusal.size);
        size += refusal.size;
    }
    return size;
}
