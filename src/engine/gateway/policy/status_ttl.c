#include "status_ttl.h"
#include "base/compiler.h"
#include "base/number.h"

enum { STATUS_DIGITS = 3 };

static bool is_digit(char c) { return c >= '0' && c <= '9'; }

/* "404", or "4xx" of the class; what is behind it is the caller's. */
static bool begins_with_status(struct bytes item)
{
    return item.size > STATUS_DIGITS && item.data[STATUS_DIGITS] == '=' && item.data[0] >= '2' &&
           item.data[0] <= '5' &&
           ((is_digit(item.data[1]) && is_digit(item.data[2])) ||
            (item.data[1] == 'x' && item.data[2] == 'x'));
}

const char *status_ttl_is_wrong(struct bytes item)
{
    static const struct bytes never[] = {BYTES_INIT("206="), BYTES_INIT("304="), BYTES_INIT("407="),
                                         BYTES_INIT("416=")};

    if (!begins_with_status(item))
        return "begins with no status; write one from 200 to 599, or a class such as 5xx";
    for (size_t i = 0; i < COUNT_OF(never); i++)
        if (bytes_start_with(item, never[i]))
            return "has a status whose answers are not kept as such";
    return NULL;
}

int64_t status_ttl_ms(const struct route_policy *policy, int status)
{
    struct bytes items = route_items(policy->status_ttl), item;
    char exact[] = {(char)('0' + status / 100 % 10), (char)('0' + status / 10 % 10),
                    (char)('0' + status % 10)};
    int64_t of_class_ms = -1, ms;

    if (status == 206) /* a part of a 200 */
        memcpy(exact, "200", sizeof exact);
    while (http_list_next(&items, &item)) {
        if (status < 200 || status > 599 || item.data[0] != exact[0] ||
            !int64_parse(bytes_after(item, STATUS_DIGITS + 1), &ms))
            continue;
        if (item.data[1] == 'x')
            of_class_ms = ms;
        else if (memcmp(item.data, exact, sizeof exact) == 0)
            return ms;
    }
    return of_class_ms;
}
