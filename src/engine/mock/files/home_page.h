/* home_page.h — the page that a browser sees at "/": what resources there are, and a form to try calls. It
 * loads nothing from elsewhere and asks the API itself what there is. */
#pragma once
#include "message/http.h"

/* Whether who asks is a browser that wants a page: its Accept names text/html. */
bool home_page_is_wanted(const struct http_request *request);

/* HTML, UTF-8. Static. */
struct bytes home_page_html(void);

/* Its field lines, already rendered. Static. */
struct bytes home_page_lines(void);
