#include "fake_data.h"
#include "base/number.h"
#include <time.h>

static const char *const first_names[] = {
    "Ada",   "Alan",  "Amina", "Anna",  "Bela",  "Carlos", "Chen",  "Clara",  "David", "Elena",
    "Emil",  "Emma",  "Fatma", "Felix", "Grace", "Hana",   "Hugo",  "Ines",   "Ivan",  "Jana",
    "Jonas", "Kenji", "Lars",  "Leila", "Lena",  "Linus",  "Lucia", "Marco",  "Maria", "Maya",
    "Milan", "Nadia", "Nils",  "Nora",  "Omar",  "Paula",  "Priya", "Rosa",   "Ruth",  "Samir",
    "Sara",  "Simon", "Sofia", "Tariq", "Theo",  "Tomas",  "Vera",  "Victor", "Yusuf", "Zoe"};
static const char *const last_names[] = {
    "Adams",    "Bauer",   "Berg",     "Brown",  "Castro",   "Cohen",   "Costa",  "Dahl",    "Diaz",
    "Eriksson", "Fischer", "Fontaine", "Garcia", "Green",    "Haddad",  "Hansen", "Hoffman", "Ivanova",
    "Jansen",   "Jones",   "Khan",     "Kim",    "Klein",    "Kovacs",  "Kumar",  "Larsen",  "Lopez",
    "Martin",   "Meyer",   "Moreau",   "Murphy", "Nakamura", "Nguyen",  "Novak",  "Okafor",  "Olsen",
    "Patel",    "Pereira", "Petrov",   "Rossi",  "Sato",     "Schmidt", "Silva",  "Smith",   "Sorensen",
    "Tanaka",   "Vidal",   "Weber",    "Wong",   "Young"};
static const char *const domains[] = {"example.com", "example.org", "example.net"}; /* RFC 2606 §3 */
static const char *const latin[] = {"lorem",      "ipsum",        "dolor",
                                    "sit",        "amet",         "consectetur",
                                    "adipiscing", "elit",         "sed",
                                    "do",         "eiusmod",      "tempor",
                                    "incididunt", "ut",           "labore",
                                    "et",         "dolore",       "magna",
                                    "aliqua",     "enim",         "ad",
                                    "minim",      "veniam",       "quis",
                                    "nostrud",    "exercitation", "ullamco",
                                    "laboris",    "nisi",         "aliquip",
                                    "ex",         "ea",           "commodo",
                                    "consequat",  "duis",         "aute",
                                    "irure",      "in",           "reprehenderit",
                                    "voluptate",  "velit",        "esse",
                                    "cillum",     "eu",           "fugiat",
                                    "nulla",      "pariatur",     "excepteur",
                                    "sint",       "occaecat",     "cupidatat",
                                    "non",        "proident",     "sunt",
                                    "culpa",      "qui",          "officia",
                                    "deserunt",   "mollit",       "anim",
                                    "id",         "est",          "laborum"};

static struct bytes one_of(const char *const *list, size_t count, struct random_source *source)
{
    return bytes_of_text(list[random_below(source, count)]);
}

#define ONE_OF(list, source) one_of(list, COUNT_OF(list), source)

void fake_first_name(struct buffer *out, struct random_source *source)
{
    buffer_append(out, ONE_OF(first_names, source));
}

void fake_last_name(struct buffer *out, struct random_source *source)
{
    buffer_append(out, ONE_OF(last_names, source));
}

void fake_name(struct buffer *out, struct random_source *source)
{
    fake_first_name(out, source);
    buffer_append_byte(out, ' ');
    fake_last_name(out, source);
}

static void append_lower(struct buffer *out, struct bytes text)
{
    for (size_t i = 0; i < text.size; i++)
        buffer_append_byte(out, byte_to_lower(text.data[i]));
}

void fake_email(struct buffer *out, struct random_source *source)
{
    append_lower(out, ONE_OF(first_names, source));
    buffer_append_byte(out, '.');
    append_lower(out, ONE_OF(last_names, source));
    buffer_append_uint64(out, random_below(source, 1000));
    buffer_append_byte(out, '@');
    buffer_append(out, ONE_OF(domains, source));
}

void fake_hex(struct buffer *out, struct random_source *source, size_t digits)
{
    for (size_t i = 0; i < digits; i++)
        buffer_append_byte(out, "0123456789abcdef"[random_below(source, 16)]);
}

void fake_uuid(struct buffer *out, struct random_source *source)
{
    fake_hex(out, source, 8);
    buffer_append_byte(out, '-');
    fake_hex(out, source, 4);
    buffer_append_literal(out, "-4");
    fake_hex(out, source, 3);
    buffer_append_byte(out, '-');
    buffer_append_byte(out, "89ab"[random_below(source, 4)]);
    fake_hex(out, source, 3);
    buffer_append_byte(out, '-');
    fake_hex(out, source, 12);
}

void fake_lorem(struct buffer *out, struct random_source *source, size_t words)
{
    for (size_t i = 0; i < words; i++) {
        if (i > 0)
            buffer_append_byte(out, ' ');
        buffer_append(out, ONE_OF(latin, source));
    }
}

/* ---- moments ------------------------------------------------------------------------------------- */

static struct tm broken_down(int64_t wall_ms, int *ms)
{
    int64_t seconds = wall_ms / 1000;
    struct tm tm = {0};

    *ms = (int)(wall_ms % 1000);
    if (*ms < 0) {
        *ms += 1000;
        seconds--;
    }
    gmtime_r(&seconds, &tm);
    return tm;
}

void moment_append_date(struct buffer *out, int64_t wall_ms)
{
    int ms;
    struct tm tm = broken_down(wall_ms, &ms);

    buffer_append_format(out, "%04d-%02d-%02d", tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday);
}

void moment_append(struct buffer *out, int64_t wall_ms)
{
    int ms;
    struct tm tm = broken_down(wall_ms, &ms);

    moment_append_date(out, wall_ms);
    buffer_append_format(out, "T%02d:%02d:%02d.%03dZ", tm.tm_hour, tm.tm_min, tm.tm_sec, ms);
}

bool moment_parse_date(struct bytes text, int64_t *wall_ms)
{
    uint64_t year, month, day;
    struct tm tm = {0}, back;
    time_t seconds;

    if (text.size != 10 || text.data[4] != '-' || text.data[7] != '-' ||
        !digits_parse(bytes_first(text, 4), 9999, &year) ||
        !digits_parse(bytes_of(text.data + 5, 2), 12, &month) ||
        !digits_parse(bytes_of(text.data + 8, 2), 31, &day) || year == 0 || month == 0 || day == 0)
        return false;
    tm.tm_year = (int)year - 1900;
    tm.tm_mon = (int)month - 1;
    tm.tm_mday = (int)day;
    seconds = timegm(&tm);
    if (gmtime_r(&seconds, &back) == NULL || back.tm_mday != (int)day)
        return false;
    *wall_ms = seconds * 1000;
    return true;
}
