#include "part_answer.h"
#include "engine/gateway/policy/directives.h"
#include "engine/gateway/policy/stored_response.h"
#include "json_pick.h"

void part_answer_fail(struct part_answer *part, int status, const char *detail)
{
    part->is_good = false;
    part->status = status;
    part->detail = detail;
    part->terms = composed_terms_free;
    part->terms.is_unkept = true;
    buffer_fini(&part->value);
}

void part_answer_fini(struct part_answer *part) { buffer_fini(&part->value); }

static void take_error(struct part_answer *part, enum err err)
{
    switch (err) {
    case ERR_TIMEOUT: part_answer_fail(part, 504, "it took longer than its timeout"); return;
    case ERR_TOO_LARGE: part_answer_fail(part, 502, "it is larger than compose-max"); return;
    case ERR_TRUNCATED: part_answer_fail(part, 502, "it broke off"); return;
    case ERR_NO_MEMORY: part_answer_fail(part, 503, "out of memory"); return;
    default: part_answer_fail(part, 502, NULL); return;
    }
}

/* An answer that is no success. What the origin says may be kept as long as it says. */
static void take_refusal(struct part_answer *part, const struct inquiry_answer *answer)
{
    struct composed_terms terms = part->terms;
    struct bytes retry_after = {0}, lines = answer->fields;
    struct http_field field;
    int64_t seconds;

    part_answer_fail(part, answer->status, NULL);
    if (answer->status < 500 && answer->status != 429)
        part->terms = terms;
    while (rendered_next(&lines, &field))
        if (bytes_equal_nocase(field.name, BYTES("Retry-After")))
            retry_after = field.value;
    if (retry_after.size > 0 && delta_seconds_parse(retry_after, &seconds))
        part->retry_after_seconds = seconds;
}

/* The members that are asked for; what is not there is null. */
static void append_selected(struct buffer *out, const struct part_spec *spec, struct bytes body)
{
    buffer_append_byte(out, '{');
    for (size_t i = 0; i < spec->selected_count; i++) {
        const struct field_spec *member = &spec->selected[i];
        struct bytes value = BYTES("null");
        json_pick(body, bytes_of_text(member->value), &value);
        buffer_append_format(out, "%s\"%s\":", i > 0 ? "," : "", member->name);
        buffer_append(out, value);
    }
    buffer_append_byte(out, '}');
}

static void take_body(struct part_answer *part, const struct part_spec *spec,
                      const struct inquiry_answer *answer)
{
    struct bytes body = buffer_bytes(answer->body), value;

    if (!json_is_whole(body)) {
        part_answer_fail(part, 502, "it is not JSON");
        return;
    }
    if (spec->selected_count > 0) {
        append_selected(&part->value, spec, body);
    } else if (!json_pick(body, bytes_of_text(spec->pointer != NULL ? spec->pointer : ""), &value)) {
        part_answer_fail(part, 502, "there is nothing where its pointer points");
        return;
    } else if (value.size == body.size) {
        part->value = *answer->body;
        *answer->body = (struct buffer){0};
    } else {
        buffer_append(&part->value, value);
    }
    if (part->value.failed)
        part_answer_fail(part, 503, "out of memory");
    else
        part->is_good = true;
}

void part_answer_take(struct part_answer *part, const struct part_spec *spec,
                      const struct inquiry_answer *answer, int64_t now_wall_ms)
{
    if (answer->err != OK) {
        take_error(part, answer->err);
        return;
    }
    part->terms = composed_terms_of(answer->fields, answer->terms, now_wall_ms);
    if (answer->status < 200 || answer->status > 299)
        take_refusal(part, answer);
    else
        take_body(part, spec, answer);
}
