#include "engine/gateway/quota/rate_spec.h"
#include "server/option_read.h"
#include "server/shown_text.h"
#include "server/text_list.h"

/* Adds to those that are there. */
enum err option_read_rates(const struct option_text *from, void *field)
{
    const char *present = *(char *const *)field;
    struct rate_spec specs[RATE_SPECS_MAX];
    struct buffer all = {0};
    enum err err = ERR_SYNTAX;
    size_t count;

    if (present != NULL)
        buffer_append_format(&all, "%s,", present);
    buffer_append(&all, from->text);
    if (all.failed)
        err = ERR_NO_MEMORY;
    else if (!rate_specs_read(from->text, specs, &count) || count == 0)
        buffer_append_format(from->why,
                             "\"%s\" does not fit; write a number of requests and a time, such as 10/s, "
                             "5000/h or 100/15m, or several with commas between",
                             shown_text(from->text).text);
    else if (!rate_specs_read(buffer_bytes(&all), specs, &count))
        buffer_append_format(from->why, "there are more than %d limits; leave some out", RATE_SPECS_MAX);
    else
        err = text_set(field, buffer_bytes(&all));
    buffer_fini(&all);
    return err;
}
