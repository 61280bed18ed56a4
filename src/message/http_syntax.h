/* http_syntax.h — which bytes may stand where in HTTP and in URIs: one table, looked at a byte at a time.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

enum http_byte_class {
    HTTP_BYTE_TOKEN = 1 << 0, /* tchar, RFC 9110 §5.6.2 */
    HTTP_BYTE_VALUE = 1 << 1, /* in a field value: no control but tab, §5.5 */
    HTTP_BYTE_HOST = 1 << 2,  /* unreserved or sub-delims, RFC 3986 §2.2; '%' apart */
    HTTP_BYTE_PATH = 1 << 3,  /* pchar or '/', RFC 3986 §3.3; '%' apart */
    HTTP_BYTE_QUERY = 1 << 4, /* what a query may also hold: '?', and '\\', which browsers send there */
    HTTP_BYTE_HEX = 1 << 5,
    HTTP_BYTE_UNWISE = 1 << 6, /* RFC 2396 §2.4.3: in no URI, but in targets that browsers send */
};

extern const uint8_t http_byte_classes[256]; /* enum http_byte_class, or-ed */

static inline bool http_byte_is(char byte, unsigned classes)
{
    return (http_byte_classes[(unsigned char)byte] & classes) != 0;
}
