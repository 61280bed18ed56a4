#include "home_page.h"

/* clang-format off */
static const char page[] =
    "<!doctype html>\n"
    "<html lang='en'>\n"
    "<head>\n"
    "<meta charset='utf-8'>\n"
    "<meta name='viewport' content='width=device-width, initial-scale=1'>\n"
    "<title>nuthatch mock</title>\n"
    "<link rel='icon' href='data:,'>\n"
    "<style>\n"
    ":root { color-scheme: light dark; --ink: #1d2b33; --soft: #5c6b73; --paper: #fbfaf7; --card: #fff; --line: #dfdcd3; --blue: #245f86; --rust: #9c4a1a }\n"
    "@media (prefers-color-scheme: dark) { :root { --ink: #e6e4dd; --soft: #9aa5ab; --paper: #14191c; --card: #1c2327; --line: #333d42; --blue: #7fb8dc; --rust: #e29a66 } }\n"
    "* { box-sizing: border-box }\n"
    "body { margin: 0; font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper) }\n"
    "main { max-width: 62rem; margin: 0 auto; padding: 2rem 1rem 4rem }\n"
    "h1 { font-size: 1.5rem; margin: 0 } h2 { font-size: 1.05rem; margin: 2rem 0 .6rem }\n"
    "p { margin: .2rem 0; color: var(--soft) }\n"
    "table { width: 100%; border-collapse: collapse; background: var(--card); border: 1px solid var(--line) }\n"
    "td, th { text-align: left; padding: .45rem .7rem; border-top: 1px solid var(--line); vertical-align: baseline } thead th { border-top: 0; color: var(--soft); font-weight: normal; font-size: .85rem }\n"
    "td.count { text-align: right; font-variant-numeric: tabular-nums }\n"
    "button, input, select, textarea { font: inherit; color: inherit; background: var(--card); border: 1px solid var(--line); border-radius: .3rem; padding: .25rem .6rem }\n"
    "button { cursor: pointer; color: var(--blue) } button:hover, button:focus-visible { border-color: var(--blue) }\n"
    ".call { font: .9rem/1.4 ui-monospace, monospace; margin: .1rem .3rem .1rem 0 } .call b { color: var(--rust); font-weight: 600 }\n"
    "form { display: flex; flex-wrap: wrap; gap: .5rem } #path { flex: 1 1 20rem } #path, #body, pre { font: .9rem/1.45 ui-monospace, monospace }\n"
    "#body { width: 100%; min-height: 5rem; margin-top: .5rem; display: block } #body[hidden] { display: none }\n"
    "pre { background: var(--card); border: 1px solid var(--line); padding: .8rem; margin: .5rem 0 0; overflow: auto; max-height: 32rem; white-space: pre-wrap; overflow-wrap: anywhere }\n"
    "#said { font-family: ui-monospace, monospace; font-size: .9rem; min-height: 1.5em; margin-top: .5rem }\n"
    "</style>\n"
    "</head>\n"
    "<body>\n"
    "<main>\n"
    "<h1>nuthatch mock</h1>\n"
    "<p>A JSON REST API is here. Choose a call to try it.</p>\n"
    "<h2>Resources</h2>\n"
    "<table><thead><tr><th>Resource</th><th class='count'>Items</th><th>Example calls</th></tr></thead><tbody id='resources'></tbody></table>\n"
    "<p id='none' hidden>There are none: the data file has no collection.</p>\n"
    "<h2>Try</h2>\n"
    "<form id='form'>\n"
    "<select id='method' aria-label='Method'><option>GET<option>HEAD<option>POST<option>PUT<option>PATCH<option>DELETE</select>\n"
    "<input id='path' aria-label='Path' value='/' spellcheck='false' autocomplete='off'>\n"
    "<button>Send</button>\n"
    "</form>\n"
    "<textarea id='body' aria-label='Body' spellcheck='false' hidden></textarea>\n"
    "<div id='said' role='status'></div>\n"
    "<pre id='answer' hidden></pre>\n"
    "</main>\n"
    "<script>\n"
    "'use strict';\n"
    "const at = id => document.getElementById(id), SHOWN_MAX = 100000;\n"
    "const json = { Accept: 'application/json' };\n"
    "function fill(method, path, body) {\n"
    "  at('method').value = method; at('path').value = path;\n"
    "  if (body !== undefined) at('body').value = JSON.stringify(body, null, 2);\n"
    "  at('body').hidden = !/^P/.test(method);\n"
    "}\n"
    "async function send() {\n"
    "  const method = at('method').value, path = at('path').value, began = performance.now();\n"
    "  const options = { method, headers: { ...json } };\n"
    "  if (/^P/.test(method)) { options.body = at('body').value; options.headers['Content-Type'] = 'application/json'; }\n"
    "  at('answer').hidden = true;\n"
    "  at('said').textContent = 'waiting \\u2026';\n"
    "  try {\n"
    "    if (path[0] !== '/' || path[1] === '/') throw new Error('a path begins with one /');\n"
    "    const response = await fetch(path, options), text = await response.text();\n"
    "    const took = Math.round(performance.now() - began);\n"
    "    at('said').textContent = `${response.status} ${response.statusText} \\u00b7 ${took} ms \\u00b7 ${text.length} characters`;\n"
    "    let shown = text;\n"
    "    try { shown = JSON.stringify(JSON.parse(text), null, 2); } catch { /* it is no JSON: as it is */ }\n"
    "    at('answer').textContent = shown.length > SHOWN_MAX ? shown.slice(0, SHOWN_MAX) + '\\n\\u2026' : shown;\n"
    "    at('answer').hidden = shown === '';\n"
    "    if (method !== 'GET' && method !== 'HEAD') list();\n"
    "  } catch (error) { at('said').textContent = `no answer: ${error.message}`; }\n"
    "}\n"
    "function call(method, path, body, sendsAtOnce) {\n"
    "  const button = document.createElement('button'), word = document.createElement('b');\n"
    "  button.type = 'button'; button.className = 'call';\n"
    "  word.textContent = method;\n"
    "  button.append(word, ' ' + path);\n"
    "  button.onclick = () => { fill(method, path, body); if (sendsAtOnce) send(); else at('body').focus(); };\n"
    "  return button;\n"
    "}\n"
    "function copyOf(item) { const { id, ...rest } = item; return rest; }\n"
    "async function describe(name, row) {\n"
    "  const path = '/' + encodeURIComponent(name), calls = row.cells[2], count = row.cells[1];\n"
    "  const response = await fetch(path + '?_page=1&_per_page=1', { headers: json });\n"
    "  let value = response.ok ? await response.json() : [], total = response.headers.get('X-Total-Count');\n"
    "  if (value !== null && Array.isArray(value.data) && typeof value.items === 'number') { total = value.items; value = value.data; }\n"
    "  const made = [call('GET', path, undefined, true)];\n"
    "  if (Array.isArray(value)) {\n"
    "    const item = value[0], id = item && item.id;\n"
    "    count.textContent = total === null ? '' : Number(total).toLocaleString('en');\n"
    "    if (id !== undefined) made.push(call('GET', path + '/' + encodeURIComponent(id), undefined, true));\n"
    "    made.push(call('POST', path, item ? copyOf(item) : {}, false));\n"
    "    if (id !== undefined) made.push(call('PATCH', path + '/' + encodeURIComponent(id), copyOf(item), false));\n"
    "  } else {\n"
    "    count.textContent = 'one object';\n"
    "    made.push(call('PATCH', path, value, false));\n"
    "  }\n"
    "  calls.replaceChildren(...made);\n"
    "}\n"
    "async function list() {\n"
    "  const root = await (await fetch('/', { headers: json })).json(), names = root.resources || [];\n"
    "  const rows = names.map(name => {\n"
    "    const row = document.createElement('tr');\n"
    "    row.append(document.createElement('th'), document.createElement('td'), document.createElement('td'));\n"
    "    row.cells[0].scope = 'row'; row.cells[0].textContent = name; row.cells[1].className = 'count';\n"
    "    return row;\n"
    "  });\n"
    "  at('resources').replaceChildren(...rows);\n"
    "  at('none').hidden = names.length > 0;\n"
    "  await Promise.all(names.map((name, i) => describe(name, rows[i]).catch(() => {})));\n"
    "}\n"
    "at('form').onsubmit = event => { event.preventDefault(); send(); };\n"
    "at('method').onchange = () => { at('body').hidden = !/^P/.test(at('method').value); };\n"
    "list().catch(error => { at('said').textContent = `no list: ${error.message}`; });\n"
    "</script>\n"
    "</body>\n"
    "</html>\n";
/* clang-format on */

bool home_page_is_wanted(const struct http_request *request)
{
    const struct http_field *accept = http_fields_find_name(&request->fields, BYTES("Accept"));
    struct bytes list, element;

    if (accept == NULL || !bytes_equal(request->path, BYTES("/")))
        return false;
    list = accept->value;
    while (http_list_next(&list, &element)) {
        const char *end = memchr(element.data, ';', element.size);
        if (end != NULL)
            element = bytes_trim(bytes_first(element, (size_t)(end - element.data)));
        if (bytes_equal_nocase(element, BYTES("text/html")))
            return true;
    }
    return false;
}

struct bytes home_page_html(void) { return bytes_of(page, sizeof page - 1); }

struct bytes home_page_lines(void)
{
    return BYTES("Content-Type: text/html; charset=utf-8\r\nCache-Control: no-cache\r\nVary: Accept\r\n"
                 "X-Content-Type-Options: nosniff\r\n"
                 "Content-Security-Policy: default-src 'none'; style-src 'unsafe-inline'; "
                 "script-src 'unsafe-inline'; connect-src 'self'; img-src data:\r\n");
}
