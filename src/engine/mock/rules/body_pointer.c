#include "body_pointer.h"
#include "base/number.h"

enum { TOKEN_BYTES_MAX = 512 };

bool body_pointer_is_good(struct bytes pointer)
{
    if (pointer.size > 0 && pointer.data[0] != '/')
        return false;
    for (size_t i = 0; i < pointer.size; i++)
        if (pointer.data[i] == '~' &&
            (i + 1 == pointer.size || (pointer.data[i + 1] != '0' && pointer.data[i + 1] != '1')))
            return false;
    return true;
}

/* Takes "/token" off the front, unescaped and terminated. False if it is longer than any that is found. */
static bool take_token(struct bytes *rest, char token[static TOKEN_BYTES_MAX], size_t *size)
{
    size_t at = 1;

    for (*size = 0; at < rest->size && rest->data[at] != '/'; at++) {
        char c = rest->data[at];
        if (c == '~')
            c = rest->data[++at] == '0' ? '~' : '/';
        if (*size == TOKEN_BYTES_MAX - 1)
            return false;
        token[(*size)++] = c;
    }
    token[*size] = '\0';
    *rest = bytes_after(*rest, at);
    return true;
}

json_t *body_pointer_find(json_t *value, struct bytes pointer)
{
    char token[TOKEN_BYTES_MAX];
    size_t size;

    while (value != NULL && pointer.size > 0) {
        uint64_t index;
        if (!take_token(&pointer, token, &size))
            return NULL;
        if (json_is_array(value))
            value = uint64_parse(bytes_of(token, size), &index) ? json_array_get(value, index) : NULL;
        else
            value = json_object_get(value, token); /* null for what is no object */
    }
    return value;
}

bool json_values_are_same(const json_t *a, const json_t *b)
{
    size_t i;
    json_t *item;
    const char *name;

    if (json_is_number(a) && json_is_number(b))
        return json_is_integer(a) && json_is_integer(b) ? json_integer_value(a) == json_integer_value(b)
                                                        : json_number_value(a) == json_number_value(b);
    if (json_typeof(a) != json_typeof(b))
        return false;
    if (json_is_array(a)) {
        if (json_array_size(a) != json_array_size(b))
            return false;
        json_array_foreach(a, i, item) if (!json_values_are_same(item, json_array_get(b, i))) return false;
        return true;
    }
    if (json_is_object(a)) {
        if (json_object_size(a) != json_object_size(b))
            return false;
        json_object_foreach((json_t *)(uintptr_t)a, name, item)
        {
            const json_t *other = json_object_get(b, name);
            if (other == NULL || !json_values_are_same(item, other))
                return false;
        }
        return true;
    }
    return json_equal(a, b);
}
