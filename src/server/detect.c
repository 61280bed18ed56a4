#include "server/detect.h"
#include "protocol/memcached/memcached.h"

/* The bytes before the first space, CR or LF; all of them if there is none. */
static struct bytes first_word(struct bytes input)
{
    size_t size = 0;
    while (size < input.size && input.data[size] != ' ' && input.data[size] != '\r' &&
           input.data[size] != '\n')
        size++;
    return bytes_first(input, size);
}

bool detect_http_line(struct bytes input)
{
    struct bytes word = first_word(input);
    const char *line_end;
    size_t line_size;

    if (bytes_equal_nocase(word, BYTES("host:")) || bytes_equal_nocase(word, BYTES("post")))
        return true;
    if (word.size == 0 || word.data[0] < 'A' || word.data[0] > 'Z' || word.size == input.size)
        return false;
    /* METHOD target HTTP/x: the last word of the line tells. */
    line_end = memchr(input.data, '\n', input.size);
    line_size = line_end != NULL ? (size_t)(line_end - input.data) : input.size;
    for (size_t i = word.size; i + 6 <= line_size; i++)
        if (memcmp(input.data + i, " HTTP/", 6) == 0)
            return true;
    return false;
}

enum wire detect_wire(struct bytes input)
{
    struct bytes word;

    if (input.size == 0)
        return WIRE_DETECT;
    if (input.data[0] == '*')
        return WIRE_RESP;
    if ((unsigned char)input.data[0] == MEMCACHED_BINARY_BYTE)
        return WIRE_MEMCACHED; /* which refuses it with a word in the log */
    word = first_word(input);
    if (word.size == input.size && input.size < DETECT_BYTES_MAX)
        return WIRE_DETECT;
    if (detect_http_line(input))
        return WIRE_HTTP;
    /* RESP's inline commands are written in either case, memcached's in lower case only: a lower-case word
     * that is memcached's means memcached. */
    return memcached_is_command_word(word) ? WIRE_MEMCACHED : WIRE_RESP;
}
