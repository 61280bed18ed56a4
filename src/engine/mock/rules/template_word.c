#include "template_word.h"
#include "base/compiler.h"
#include "base/number.h"
#include "body_pointer.h"
#include "engine/mock/json/json_text.h"
#include "fake_data.h"
#include "message/http_date.h"
#include <stdlib.h>

enum { LOREM_WORDS_MAX = 1000, HEX_DIGITS_MAX = 1024, DAY_MS = 86400000, COUNTERS_MAX = 1000 };

static const struct {
    struct bytes name;
    size_t least, most;
} words[] = {
#define TEMPLATE_WORD(id, name, least, most, help) {BYTES_INIT(name), least, most},
#include "tables/template_words.def"
#undef TEMPLATE_WORD
};

/* ---- reading ------------------------------------------------------------------------------------- */

static void skip_space(struct bytes *rest)
{
    while (rest->size > 0 && (rest->data[0] == ' ' || rest->data[0] == '\t' || rest->data[0] == '\n'))
        *rest = bytes_after(*rest, 1);
}

/* Takes a word, or what is in quotes; none has a '|' or an end of quotes in it. False if a quote does not
 * end. */
static bool take_word(struct bytes *rest, struct bytes *word, bool *was_quoted)
{
    size_t size = 0;

    skip_space(rest);
    *was_quoted = rest->size > 0 && (rest->data[0] == '"' || rest->data[0] == '\'');
    if (*was_quoted) {
        const char *end = memchr(rest->data + 1, rest->data[0], rest->size - 1);
        if (end == NULL)
            return false;
        *word = bytes_of(rest->data + 1, (size_t)(end - rest->data - 1));
        *rest = bytes_after(*rest, word->size + 2);
        return true;
    }
    while (size < rest->size && rest->data[size] != ' ' && rest->data[size] != '\t' &&
           rest->data[size] != '\n' && rest->data[size] != '|')
        size++;
    *word = bytes_first(*rest, size);
    *rest = bytes_after(*rest, size);
    return true;
}

static bool complain(struct buffer *why, const char *sentence, struct bytes about)
{
    buffer_append_format(why, "{{%.*s}}: %s", about.size < 60 ? (int)about.size : 60, about.data, sentence);
    return false;
}

static bool find_word(struct bytes name, struct template_call *call)
{
    for (size_t i = 0; i < COUNT_OF(words); i++) {
        bool goes_on = words[i].name.data[words[i].name.size - 1] == '.';
        if (goes_on ? name.size > words[i].name.size && bytes_start_with(name, words[i].name)
                    : bytes_equal(name, words[i].name)) {
            call->word = (enum template_word)i;
            if (goes_on)
                call->name = bytes_after(name, words[i].name.size);
            return true;
        }
    }
    return false;
}

/* "+1h", "-30s", "+2d": milliseconds. */
static bool read_offset(struct bytes text, int64_t *ms)
{
    static const struct {
        char unit;
        int64_t ms;
    } units[] = {{'s', 1000}, {'m', 60000}, {'h', 3600000}, {'d', DAY_MS}};
    uint64_t number;

    if (text.size < 3 || (text.data[0] != '+' && text.data[0] != '-') ||
        !digits_parse(bytes_of(text.data + 1, text.size - 2), 100000000, &number))
        return false;
    for (size_t i = 0; i < COUNT_OF(units); i++)
        if (units[i].unit == text.data[text.size - 1]) {
            *ms = (int64_t)number * units[i].ms * (text.data[0] == '-' ? -1 : 1);
            return *ms <= INT64_C(36525) * DAY_MS && *ms >= INT64_C(-36525) * DAY_MS;
        }
    return false;
}

static const struct bytes now_forms[] = {BYTES_INIT("iso"), BYTES_INIT("date"), BYTES_INIT("unix"),
                                         BYTES_INIT("ms"), BYTES_INIT("http")};
enum now_form { NOW_iso, NOW_date, NOW_unix, NOW_ms, NOW_http };

/* numbers: the form, the offset. */
static bool read_now(struct template_call *call)
{
    for (size_t i = 0; i < call->argument_count; i++) {
        size_t form = 0;
        if (read_offset(call->arguments[i], &call->numbers[1]))
            continue;
        while (form < COUNT_OF(now_forms) && !bytes_equal(now_forms[form], call->arguments[i]))
            form++;
        if (form == COUNT_OF(now_forms) || i > 0)
            return false;
        call->numbers[0] = (int64_t)form;
    }
    return true;
}

/* numbers: the first and the last day, in days since 1970. */
static bool read_days(struct template_call *call)
{
    static const char *const fallbacks[] = {"2000-01-01", "2029-12-31"};

    for (size_t i = 0; i < 2; i++) {
        struct bytes text = i < call->argument_count ? call->arguments[i] : bytes_of_text(fallbacks[i]);
        if (!moment_parse_date(text, &call->numbers[i]))
            return false;
        call->numbers[i] /= DAY_MS;
    }
    return call->numbers[0] <= call->numbers[1];
}

static bool read_count(struct template_call *call, int64_t fallback, int64_t highest)
{
    call->numbers[0] = fallback;
    return call->argument_count == 0 || (int64_parse(call->arguments[0], &call->numbers[0]) &&
                                         call->numbers[0] >= 1 && call->numbers[0] <= highest);
}

static bool find_counter(struct counter_names *counters, struct bytes name, int64_t *place)
{
    struct bytes *grown;

    for (size_t i = 0; i < counters->count; i++)
        if (bytes_equal(counters->names[i], name)) {
            *place = (int64_t)i + 1;
            return true;
        }
    if (counters->count == COUNTERS_MAX)
        return false;
    grown = realloc(counters->names, (counters->count + 1) * sizeof *grown);
    if (grown == NULL)
        return false;
    counters->names = grown;
    counters->names[counters->count++] = name;
    *place = (int64_t)counters->count;
    return true;
}

static bool read_arguments(struct bytes text, const struct template_scope *scope,
                           struct template_call *call, struct buffer *why)
{
    switch (call->word) {
    case TEMPLATE_WORD_path_value:
        call->numbers[0] = scope->path != NULL ? rule_path_find(scope->path, call->name) : -1;
        return call->numbers[0] >= 0 || complain(why, "the rule's path has no such {name}", text);
    case TEMPLATE_WORD_message:
    case TEMPLATE_WORD_body:
        if (call->word == TEMPLATE_WORD_message && !scope->has_message)
            return complain(why, "only the replies of a websocket have a message", text);
        return call->argument_count == 0 || body_pointer_is_good(call->arguments[0]) ||
               complain(why, "what follows is a JSON pointer, such as /user/name", text);
    case TEMPLATE_WORD_counter:
        return call->argument_count == 0 ||
               find_counter(scope->counters, call->arguments[0], &call->numbers[0]) ||
               complain(why, "there may be 1000 counters", text);
    case TEMPLATE_WORD_now:
        return read_now(call) ||
               complain(why, "what follows is iso, date, unix, ms or http, and an offset such as +1h",
                        text);
    case TEMPLATE_WORD_integer:
        return (int64_parse(call->arguments[0], &call->numbers[0]) &&
                int64_parse(call->arguments[1], &call->numbers[1]) &&
                call->numbers[0] <= call->numbers[1]) ||
               complain(why, "what follows is the lowest and the highest whole number", text);
    case TEMPLATE_WORD_date:
    case TEMPLATE_WORD_datetime:
        return read_days(call) ||
               complain(why, "what follows is the first and the last day, such as 2020-01-01", text);
    case TEMPLATE_WORD_lorem:
        return read_count(call, 8, LOREM_WORDS_MAX) ||
               complain(why, "what follows is a number of words, 1 to 1000", text);
    case TEMPLATE_WORD_hex:
        return read_count(call, 8, HEX_DIGITS_MAX) ||
               complain(why, "what follows is a number of digits, 1 to 1024", text);
    case TEMPLATE_WORD_request_method:
    case TEMPLATE_WORD_request_path:
    case TEMPLATE_WORD_query:
    case TEMPLATE_WORD_query_value:
    case TEMPLATE_WORD_header_value:
    case TEMPLATE_WORD_uuid:
    case TEMPLATE_WORD_name:
    case TEMPLATE_WORD_first_name:
    case TEMPLATE_WORD_last_name:
    case TEMPLATE_WORD_email:
    case TEMPLATE_WORD_boolean:
    case TEMPLATE_WORD_choice: return true;
    case TEMPLATE_WORD_COUNT: break;
    }
    UNREACHABLE();
}

static bool read_filters(struct bytes text, struct bytes *rest, struct template_call *call,
                         struct buffer *why)
{
    bool was_quoted;

    for (skip_space(rest); rest->size > 0; skip_space(rest)) {
        struct bytes name;
        if (rest->data[0] != '|')
            return complain(why, "too many words", text);
        *rest = bytes_after(*rest, 1);
        if (!take_word(rest, &name, &was_quoted))
            return complain(why, "a quote does not end", text);
        if (bytes_equal(name, BYTES("number")) && !was_quoted)
            call->as_number = true;
        else if (bytes_equal(name, BYTES("text")) && !was_quoted)
            call->as_text = true;
        else if (bytes_equal(name, BYTES("default")) && !was_quoted) {
            call->has_fallback = true;
            if (!take_word(rest, &call->fallback, &was_quoted) || (call->fallback.size == 0 && !was_quoted))
                return complain(why, "default is followed by a word, or text in quotes", text);
        } else
            return complain(why, "the filters are default, number and text", text);
    }
    return !(call->as_number && call->as_text) || complain(why, "number or text, not both", text);
}

bool template_call_read(struct bytes text, const struct template_scope *scope, struct template_call *call,
                        struct buffer *why)
{
    struct bytes rest = text, word;
    bool was_quoted;

    *call = (struct template_call){0};
    if (!take_word(&rest, &word, &was_quoted))
        return complain(why, "a quote does not end", text);
    if (was_quoted || !find_word(word, call))
        return complain(why, "there is no such word; the page on rules (docs/mock-rules.md) has them all",
                        text);
    for (skip_space(&rest); rest.size > 0 && rest.data[0] != '|'; skip_space(&rest)) {
        if (call->argument_count == words[call->word].most)
            return complain(why, "too many words", text);
        if (!take_word(&rest, &call->arguments[call->argument_count++], &was_quoted))
            return complain(why, "a quote does not end", text);
    }
    if (call->argument_count < words[call->word].least)
        return complain(why, "something must follow the word", text);
    return read_filters(text, &rest, call, why) && read_arguments(text, scope, call, why);
}

/* ---- evaluating ---------------------------------------------------------------------------------- */

static enum template_kind evaluate_body(const struct template_call *call, struct request_view *view,
                                        struct buffer *out)
{
    const json_t *value;

    if (call->argument_count == 0) {
        buffer_append(out, view->body);
        return view->body.size > 0 ? TEMPLATE_VALUE_TEXT : TEMPLATE_VALUE_MISSING;
    }
    value = body_pointer_find(request_view_json(view), call->arguments[0]);
    if (value == NULL)
        return TEMPLATE_VALUE_MISSING;
    if (json_is_string(value)) {
        buffer_append(out, bytes_of(json_string_value(value), json_string_length(value)));
        return TEMPLATE_VALUE_TEXT;
    }
    json_text_append(out, value);
    return TEMPLATE_VALUE_JSON;
}

static enum template_kind evaluate_now(const struct template_call *call, int64_t wall_ms,
                                       struct buffer *out)
{
    char date[HTTP_DATE_BYTES];

    wall_ms += call->numbers[1];
    switch ((enum now_form)call->numbers[0]) {
    case NOW_iso: moment_append(out, wall_ms); return TEMPLATE_VALUE_TEXT;
    case NOW_date: moment_append_date(out, wall_ms); return TEMPLATE_VALUE_TEXT;
    case NOW_unix: buffer_append_int64(out, wall_ms / 1000); return TEMPLATE_VALUE_JSON;
    case NOW_ms: buffer_append_int64(out, wall_ms); return TEMPLATE_VALUE_JSON;
    case NOW_http:
        http_date_format(wall_ms, date);
        buffer_append(out, bytes_of(date, sizeof date));
        return TEMPLATE_VALUE_TEXT;
    }
    UNREACHABLE();
}

static enum template_kind text_or_missing(bool is_there)
{
    return is_there ? TEMPLATE_VALUE_TEXT : TEMPLATE_VALUE_MISSING;
}

static enum template_kind evaluate(const struct template_call *call, const struct template_facts *facts,
                                   struct buffer *out)
{
    const struct http_request *request = facts->view->request;
    struct random_source *random = facts->random;
    const struct http_field *field;
    struct bytes value;

    switch (call->word) {
    case TEMPLATE_WORD_request_method: buffer_append(out, request->method_name); break;
    case TEMPLATE_WORD_request_path: buffer_append(out, request->path); break;
    case TEMPLATE_WORD_path_value:
        value = path_value(facts->path_values, (size_t)call->numbers[0]);
        buffer_append(out, value);
        return text_or_missing(value.size > 0);
    case TEMPLATE_WORD_query:
        buffer_append(out, request->query);
        return text_or_missing(request->query.size > 0);
    case TEMPLATE_WORD_query_value: return text_or_missing(request_parameter(request, call->name, out));
    case TEMPLATE_WORD_header_value:
        field = http_fields_find_name(&request->fields, call->name);
        if (field != NULL)
            buffer_append(out, field->value);
        return text_or_missing(field != NULL);
    case TEMPLATE_WORD_body: return evaluate_body(call, facts->view, out);
    case TEMPLATE_WORD_message: return evaluate_body(call, facts->message, out);
    case TEMPLATE_WORD_counter:
        buffer_append_uint64(out, facts->count(facts->owner, (size_t)call->numbers[0]));
        return TEMPLATE_VALUE_JSON;
    case TEMPLATE_WORD_now: return evaluate_now(call, facts->now.wall_ms, out);
    case TEMPLATE_WORD_uuid: fake_uuid(out, random); break;
    case TEMPLATE_WORD_name: fake_name(out, random); break;
    case TEMPLATE_WORD_first_name: fake_first_name(out, random); break;
    case TEMPLATE_WORD_last_name: fake_last_name(out, random); break;
    case TEMPLATE_WORD_email: fake_email(out, random); break;
    case TEMPLATE_WORD_integer:
        buffer_append_int64(out, random_between(random, call->numbers[0], call->numbers[1]));
        return TEMPLATE_VALUE_JSON;
    case TEMPLATE_WORD_boolean:
        buffer_append(out, random_below(random, 2) == 0 ? BYTES("false") : BYTES("true"));
        return TEMPLATE_VALUE_JSON;
    case TEMPLATE_WORD_date:
        moment_append_date(out, random_between(random, call->numbers[0], call->numbers[1]) * DAY_MS);
        break;
    case TEMPLATE_WORD_datetime:
        moment_append(out, random_between(random, call->numbers[0], call->numbers[1]) * DAY_MS +
                               random_between(random, 0, DAY_MS - 1));
        break;
    case TEMPLATE_WORD_lorem: fake_lorem(out, random, (size_t)call->numbers[0]); break;
    case TEMPLATE_WORD_hex: fake_hex(out, random, (size_t)call->numbers[0]); break;
    case TEMPLATE_WORD_choice:
        buffer_append(out, call->arguments[random_below(random, call->argument_count)]);
        break;
    case TEMPLATE_WORD_COUNT: UNREACHABLE();
    }
    return TEMPLATE_VALUE_TEXT;
}

/* Whether `text` is a number as JSON writes it. */
static bool is_json_number(struct bytes text)
{
    json_t *value = NULL;
    bool is_number = false;

    if (text.size > 0 && text.size <= 64 && text.data != NULL) {
        value = json_loadb(text.data, text.size, JSON_DECODE_ANY, NULL);
        is_number = json_is_number(value) && text.data[0] > ' ' && text.data[text.size - 1] > ' ';
    }
    json_decref(value);
    return is_number;
}

enum template_kind template_call_evaluate(const struct template_call *call,
                                          const struct template_facts *facts, struct buffer *out)
{
    size_t start = out->size;
    enum template_kind kind = evaluate(call, facts, out);

    if (kind == TEMPLATE_VALUE_MISSING && call->has_fallback) {
        buffer_append(out, call->fallback);
        kind = TEMPLATE_VALUE_TEXT;
    }
    if (kind == TEMPLATE_VALUE_JSON && call->as_text)
        kind = TEMPLATE_VALUE_TEXT;
    if (kind == TEMPLATE_VALUE_TEXT && call->as_number) {
        kind = is_json_number(bytes_after(buffer_bytes(out), start)) ? TEMPLATE_VALUE_JSON
                                                                     : TEMPLATE_VALUE_MISSING;
        if (kind == TEMPLATE_VALUE_MISSING)
            out->size = start;
    }
    return kind;
}
