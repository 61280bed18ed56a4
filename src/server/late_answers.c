#include "server/late_answers.h"
#include <stdlib.h>

void late_answers_init(struct late_answers *answers)
{
    *answers = (struct late_answers){0};
    list_init(&answers->places);
}

static struct late_place *first(const struct late_answers *answers)
{
    /* One that was freed is out of the list. NOLINTNEXTLINE(clang-analyzer-unix.Malloc) */
    return CONTAINER_OF(answers->places.next, struct late_place, in_order);
}

static struct late_place *last(const struct late_answers *answers)
{
    return CONTAINER_OF(answers->places.previous, struct late_place, in_order);
}

struct late_place *late_answers_take(struct late_answers *answers, unsigned flags, uint64_t held_bytes,
                                     uint8_t resp_version)
{
    struct late_place *place = calloc(1, sizeof *place);

    if (place == NULL)
        return NULL;
    place->flags = flags;
    place->held_bytes = held_bytes + sizeof *place;
    place->resp_version = resp_version;
    if (answers->count > 0)
        answers->bytes += last(answers)->behind.size;
    answers->bytes += place->held_bytes;
    answers->held_bytes += place->held_bytes;
    answers->count++;
    answers->alone_count += (flags & LATE_ALONE) != 0;
    list_append(&answers->places, &place->in_order);
    return place;
}

struct buffer *late_place_output(struct late_answers *answers, struct late_place *place,
                                 struct buffer *output)
{
    return first(answers) == place ? output : &place->answer;
}

/* Takes the first place away. */
static void remove_first(struct late_answers *answers)
{
    struct late_place *place = first(answers);

    answers->count--;
    answers->alone_count -= (place->flags & LATE_ALONE) != 0;
    answers->bytes -= place->held_bytes + place->answer.size;
    answers->held_bytes -= place->held_bytes;
    if (answers->count > 0) /* else it was the last, whose text is not counted */
        answers->bytes -= place->behind.size;
    list_remove(&place->in_order);
    buffer_fini(&place->answer);
    buffer_fini(&place->behind);
    free(place);
}

void late_answers_end(struct late_answers *answers, struct late_place *place, struct buffer *output)
{
    place->has_ended = true;
    answers->bytes += place->answer.size;
    while (answers->count > 0 && first(answers)->has_ended) {
        buffer_append(output, buffer_bytes(&first(answers)->answer));
        buffer_append(output, buffer_bytes(&first(answers)->behind));
        output->failed = output->failed || first(answers)->answer.failed || first(answers)->behind.failed;
        remove_first(answers);
    }
}

void late_answers_fini(struct late_answers *answers)
{
    while (answers->count > 0) {
        struct late_place *place = first(answers);
        if (!place->has_ended) {
            place->has_ended = true;
            answers->bytes += place->answer.size;
            place->late.give_up(place->late.owner);
        }
        remove_first(answers);
    }
}
