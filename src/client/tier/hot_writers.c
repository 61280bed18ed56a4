#include "client/tier/hot_writers.h"

static uint32_t score_at(const struct hot_writer *row, int64_t now_ms)
{
    int64_t halvings = (now_ms - row->as_of_ms) / HOT_WRITER_HALF_LIFE_MS;

    return halvings < 32 ? row->score >> halvings : 0;
}

/* What would be lost if the row were forgotten. */
static uint32_t weight(const struct hot_writer *row, int64_t now_ms)
{
    return row->hash != 0 && now_ms < row->until_ms ? UINT32_MAX : score_at(row, now_ms);
}

void hot_writers_note(struct hot_writers *hot, uint64_t hash, int64_t now_ms)
{
    struct hot_writer *row = &hot->rows[hash % HOT_WRITER_ROWS];
    struct hot_writer *other = &hot->rows[hash % HOT_WRITER_ROWS ^ 1];
    int64_t halvings;

    if (row->hash != hash && (other->hash == hash || weight(other, now_ms) < weight(row, now_ms)))
        row = other;
    if (row->hash != hash)
        *row = (struct hot_writer){.hash = hash, .as_of_ms = now_ms};
    /* What is left of a half-life counts on. */
    halvings = (now_ms - row->as_of_ms) / HOT_WRITER_HALF_LIFE_MS;
    row->score = score_at(row, now_ms) + 1;
    row->as_of_ms += halvings * HOT_WRITER_HALF_LIFE_MS;
    if (row->score >= HOT_WRITER_SCORE) {
        row->score = 0;
        row->until_ms = now_ms + HOT_WRITER_PAUSE_MS;
    }
}

bool hot_writers_has(const struct hot_writers *hot, uint64_t hash, int64_t now_ms)
{
    const struct hot_writer *row = &hot->rows[hash % HOT_WRITER_ROWS];

    if (row->hash != hash)
        row = &hot->rows[hash % HOT_WRITER_ROWS ^ 1];
    return row->hash == hash && now_ms < row->until_ms;
}
