#include "part_answer.h"
#include "engine/gateway/policy/stored_response.h"
#include "engine/gateway/quota/rate_time.h"
#include "json_pick.h"

static const char too_large[] = "it is larger than compose-max";

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
    case ERR_TOO_LARGE: part_answer_fail(part, 502, too_large); return;
    case ERR_TRUNCATED: part_answer_fail(part, 502, "it broke off"); return;
    case ERR_NO_MEMORY: part_answer_fail(part, 503, "out of memory"); return;
    default: part_answer_fail(part, 502, NULL); return;
    }
}

/* The seconds, rounded up, that the field `name` says, in whichever way; 0 if it says none. */
static int64_t seconds_said(struct bytes lines, struct bytes name, int64_t now_wall_ms)
{
    struct http_field field;
    int64_t said_ms = 0, ms;

    while (rendered_next(&lines, &field))
        if (bytes_equal_nocase(field.name, name) && rate_time_read(field.value, now_wall_ms, &ms))
            said_ms = ms;
    return (said_ms + 999) / 1000;
}

/* An answer that is no success. What the origin says may be kept as long as it says. */
static void take_refusal(struct part_answer *part, const struct inquiry_answer *answer, int64_t now_wall_ms)
{
    struct composed_terms terms = part->terms;

    part_answer_fail(part, answer->status, NULL);
    if (answer->status < 500 && answer->status != 429)
        part->terms = terms;
    part->retry_after_seconds = seconds_said(answer->fields, BYTES("Retry-After"), now_wall_ms);
}

/* The members that are asked for; what is not there is null. Two may be the same run of `body`: together
 * they may be longer than it. False as soon as they are longer than `bytes_max`. */
static bool append_selected(struct buffer *out, const struct part_spec *spec, size_t bytes_max,
                            struct bytes body)
{
    buffer_append_byte(out, '{');
    for (size_t i = 0; i < spec->selected_count; i++) {
        const struct field_spec *member = &spec->selected[i];
        struct bytes value = BYTES("null");
        json_pick(body, bytes_of_text(member->value), &value);
        buffer_append_format(out, "%s\"%s\":", i > 0 ? "," : "", member->name);
        if (out->size + value.size >= bytes_max)
            return false;
        buffer_append(out, value);
    }
    buffer_append_byte(out, '}');
    return true;
}

static void take_body(struct part_answer *part, const struct part_spec *spec, size_t bytes_max,
                      const struct inquiry_answer *answer)
{
    struct bytes body = buffer_bytes(answer->body), value;

    if (!json_is_whole(body)) {
        part_answer_fail(part, 502, "it is not JSON");
        return;
    }
    if (spec->selected_count > 0) {
        if (!append_selected(&part->value, spec, bytes_max, body)) {
            part_answer_fail(part, 502, too_large);
            return;
        }
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

void part_answer_take(struct part_answer *part, const struct part_spec *spec, size_t bytes_max,
                      const struct inquiry_answer *answer, int64_t now_wall_ms)
{
    if (answer->err != OK) {
        take_error(part, answer->err);
        return;
    }
    part->terms = composed_terms_of(answer->fields, answer->terms, now_wall_ms);
    part->poll_interval_seconds = seconds_said(answer->fields, BYTES("X-Poll-Interval"), now_wall_ms);
    if (answer->status < 200 || answer->status > 299)
        take_refusal(part, answer, now_wall_ms);
    else
        take_body(part, spec, bytes_max, answer);
}
