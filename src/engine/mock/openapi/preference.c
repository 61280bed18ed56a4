#include "preference.h"
#include "base/number.h"
#include "message/percent.h"
#include "query.h"

static enum err set(struct preference *preference, struct bytes name, struct bytes value, bool by_field,
                    const char **why)
{
    uint64_t number;

    if (bytes_equal_nocase(name, BYTES("code"))) {
        *why = "the preference \"code\" must be a status from 200 to 599";
        if (!digits_parse(value, 599, &number) || number < 200)
            return ERR_RANGE;
        preference->code = (int)number;
    } else if (bytes_equal_nocase(name, BYTES("example"))) {
        *why = "the preference \"example\" must be a name";
        if (value.size == 0)
            return ERR_RANGE;
        preference->example = value;
    } else if (bytes_equal_nocase(name, BYTES("dynamic"))) {
        *why = "the preference \"dynamic\" must be true or false";
        preference->is_dynamic = value.size == 0 || bytes_equal_nocase(value, BYTES("true"));
        if (!preference->is_dynamic && !bytes_equal_nocase(value, BYTES("false")))
            return ERR_RANGE;
    } else if (bytes_equal_nocase(name, BYTES("seed"))) {
        *why = "the preference \"seed\" must be a number";
        if (!digits_parse(value, INT64_MAX, &preference->seed))
            return ERR_RANGE;
        preference->has_seed = true;
    } else {
        return OK;
    }
    preference->is_asked_by_field |= by_field;
    return OK;
}

/* Takes the next of `separators` off the front, not within quotes: what is before it. */
static struct bytes take_part(struct bytes *text, const char *separators)
{
    bool is_quoted = false;
    size_t i = 0;
    struct bytes part;

    for (; i < text->size; i++) {
        char c = text->data[i];
        if (c == '"')
            is_quoted = !is_quoted;
        else if (c == '\\' && is_quoted)
            i++;
        else if (!is_quoted && c != '\0' && strchr(separators, c) != NULL)
            break;
    }
    if (i > text->size)
        i = text->size;
    part = bytes_first(*text, i);
    *text = bytes_after(*text, i < text->size ? i + 1 : i);
    return bytes_trim(part);
}

static struct bytes unquote(struct bytes value)
{
    if (value.size >= 2 && value.data[0] == '"' && value.data[value.size - 1] == '"')
        return bytes_of(value.data + 1, value.size - 2);
    return value;
}

/* preference = token [ BWS "=" BWS word ] *( OWS ";" [ OWS parameter ] ), §2. */
static enum err read_field(struct bytes list, struct preference *preference, const char **why)
{
    while (list.size > 0) {
        struct bytes one = take_part(&list, ",");
        struct bytes first = take_part(&one, ";"), value = first, name = take_part(&value, "=");
        enum err err = set(preference, name, unquote(bytes_trim(value)), true, why);
        if (err != OK)
            return err;
    }
    return OK;
}

enum err preference_read(const struct http_request *request, struct preference *preference,
                         char decoded[static PREFERENCE_NAME_BYTES_MAX], const char **why)
{
    struct bytes query = request->query, name, value;
    char scratch[PREFERENCE_NAME_BYTES_MAX];

    *preference = (struct preference){0};
    for (size_t i = 0; i < request->fields.count; i++) {
        const struct http_field *field = &request->fields.list[i];
        enum err err;
        if (!bytes_equal_nocase(field->name, BYTES("Prefer")))
            continue;
        err = read_field(field->value, preference, why);
        if (err != OK)
            return err;
    }
    while (query_next(&query, &name, &value)) {
        bool is_example = bytes_equal(name, BYTES("__example"));
        enum err err;
        if (!bytes_start_with(name, BYTES("__")))
            continue;
        if (!query_decode(value, is_example ? decoded : scratch, PREFERENCE_NAME_BYTES_MAX, &value))
            continue;
        err = set(preference, bytes_after(name, 2), value, false, why);
        if (err != OK)
            return err;
    }
    return OK;
}
