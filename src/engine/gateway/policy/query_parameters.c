#include "query_parameters.h"
#include "message/percent.h"
#include <stdlib.h>

enum { SORTED_MAX = 256 };

bool query_parameter_next(struct bytes *query, struct query_parameter *parameter)
{
    while (query->size > 0) {
        const char *end = memchr(query->data, '&', query->size), *equals;
        size_t size = end != NULL ? (size_t)(end - query->data) : query->size;
        struct bytes whole = bytes_first(*query, size);

        *query = bytes_after(*query, end != NULL ? size + 1 : size);
        if (whole.size == 0)
            continue;
        equals = memchr(whole.data, '=', whole.size);
        size = equals != NULL ? (size_t)(equals - whole.data) : whole.size;
        parameter->whole = whole;
        parameter->name = bytes_first(whole, size);
        parameter->value = bytes_after(whole, equals != NULL ? size + 1 : size);
        return true;
    }
    return false;
}

char query_next_character(struct bytes text, size_t *at)
{
    char c;

    if (!percent_take(text, at, &c))
        return text.data[(*at)++];
    return c == '+' && text.data[*at - 1] == '+' ? ' ' : c;
}

static int compare(const void *a, const void *b)
{
    const struct query_parameter *left = a, *right = b;
    size_t i = 0, j = 0;

    while (i < left->name.size && j < right->name.size) {
        int difference = (unsigned char)query_next_character(left->name, &i) -
                         (unsigned char)query_next_character(right->name, &j);
        if (difference != 0)
            return difference;
    }
    if ((i < left->name.size) != (j < right->name.size))
        return i < left->name.size ? 1 : -1;
    return (left->whole.data > right->whole.data) - (left->whole.data < right->whole.data);
}

bool query_write(struct bytes query, const struct query_form *form, const void *rules, char *text,
                 size_t capacity, size_t *size)
{
    struct query_parameter sorted[SORTED_MAX], parameter;
    size_t count = 0;

    *size = 0;
    while (query_parameter_next(&query, &parameter)) {
        if (!form->counts(rules, &parameter))
            continue;
        if (!form->sorts) {
            if (!form->append(&parameter, text, capacity, size))
                return false;
            continue;
        }
        if (count == SORTED_MAX)
            return false;
        sorted[count++] = parameter;
    }
    if (count > 1)
        qsort(sorted, count, sizeof sorted[0], compare);
    for (size_t i = 0; i < count; i++)
        if (!form->append(&sorted[i], text, capacity, size))
            return false;
    return true;
}
