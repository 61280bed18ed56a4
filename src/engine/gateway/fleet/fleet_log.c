#include "fleet_log.h"
#include "base/hash.h"

enum { WORD_BYTES = 8, TABLE_AT = 4 * WORD_BYTES, TABLE_BYTES = FLEET_LOG_TAGS * WORD_BYTES };
/* number, node, rule, soft, place of the tag, size of the text; and then the text */
enum { RULE_AT = 16, SOFT_AT = 17, PLACE_AT = 18, SIZE_AT = 20, RECORD_BYTES = 22 };
enum { TAG_SEED = 1 };
#define MAGIC BYTES("nhPurge1")

static uint64_t number_at(const char *data, size_t size)
{
    uint64_t number = 0;

    while (size-- > 0)
        number = number << 8 | (unsigned char)data[size];
    return number;
}

static bool take_record(struct bytes *records, struct fleet_record *record)
{
    const char *data = records->data;
    size_t size;

    if (records->size < RECORD_BYTES)
        return false;
    size = number_at(data + SIZE_AT, 2);
    if (size > FLEET_LOG_TEXT_BYTES_MAX || size > records->size - RECORD_BYTES)
        return false;
    *record = (struct fleet_record){.number = number_at(data, WORD_BYTES),
                                    .node = number_at(data + WORD_BYTES, WORD_BYTES),
                                    .is_soft = data[SOFT_AT] == 's',
                                    .text = bytes_of(data + RECORD_BYTES, size)};
    switch (data[RULE_AT]) {
    case FLEET_URL: record->rule = FLEET_URL; break;
    case FLEET_TAG: record->rule = FLEET_TAG; break;
    case FLEET_PREFIX: record->rule = FLEET_PREFIX; break;
    default: return false;
    }
    *records = bytes_after(*records, RECORD_BYTES + size);
    return true;
}

/* Numbers go up, from behind `before` to that of the log. */
static bool are_records(struct bytes records, uint64_t before, uint64_t last)
{
    struct fleet_record record;
    size_t count = 0;

    while (records.size > 0) {
        if (!take_record(&records, &record) || record.number <= before || record.number > last ||
            ++count > FLEET_LOG_RECORDS_MAX)
            return false;
        before = record.number;
    }
    return true;
}

bool fleet_log_read(struct fleet_log *log, struct bytes value)
{
    if (value.size < TABLE_AT + TABLE_BYTES || !bytes_start_with(value, MAGIC))
        return false;
    *log = (struct fleet_log){
        .number = number_at(value.data + WORD_BYTES, WORD_BYTES),
        .forgotten = number_at(value.data + 2 * WORD_BYTES, WORD_BYTES),
        .left = number_at(value.data + 3 * WORD_BYTES, WORD_BYTES),
        .tags = bytes_of(value.data + TABLE_AT, TABLE_BYTES),
        .records = bytes_after(value, TABLE_AT + TABLE_BYTES),
    };
    return log->number > 0 && log->forgotten <= log->left && log->left <= log->number &&
           are_records(log->records, log->left, log->number);
}

bool fleet_log_next(struct fleet_log *log, struct fleet_record *record)
{
    return take_record(&log->records, record);
}

bool fleet_log_goes_back_to(const struct fleet_log *log, uint64_t number)
{
    struct fleet_log rest = *log;
    struct fleet_record record;

    if (number == log->left)
        return true;
    while (fleet_log_next(&rest, &record))
        if (record.number == number)
            return true;
    return false;
}

uint32_t fleet_tag_place(struct bytes tag)
{
    return (uint32_t)(hash_bytes(tag, TAG_SEED) % FLEET_LOG_TAGS);
}

uint64_t fleet_log_tag_number(const struct fleet_log *log, uint32_t place)
{
    return number_at(log->tags.data + (size_t)place * WORD_BYTES, WORD_BYTES);
}
