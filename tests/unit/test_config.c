/* links: nuthatch-server */
#include "server/options.h"
#include "test.h"
#include <assert.h>
#include <stdlib.h>
#include <unistd.h>

/* A file of its own for each case, as /tmp/nuthatch-XXXXXX. */
static void write_file(char path[32], struct bytes text)
{
    int fd;
    memcpy(path, "/tmp/nuthatch-XXXXXX", sizeof "/tmp/nuthatch-XXXXXX");
    fd = mkstemp(path);
    EXPECT(fd >= 0);
    EXPECT_EQ(write(fd, text.data, text.size), text.size);
    close(fd);
}

static enum err load(struct options *options, struct bytes text, struct buffer *message)
{
    char path[32];
    enum err err;

    write_file(path, text);
    options_init(options);
    err = options_load_yaml(options, path, message);
    unlink(path);
    return err;
}

/* Loads `text`, which must be refused, and expects `said` with the file's name left out of each line. */
static void expect_refused(struct bytes text, const char *said)
{
    struct options options;
    struct buffer message = {0}, plain = {0};

    EXPECT_EQ(load(&options, text, &message), ERR_SYNTAX);
    for (size_t i = 0; i < message.size;) {
        struct bytes rest = bytes_after(buffer_bytes(&message), i);
        size_t line_size = (size_t)((char *)memchr(rest.data, '\n', rest.size) - rest.data) + 1;
        if (bytes_start_with(rest, bytes_of_text(options.file))) {
            size_t skipped = strlen(options.file) + 1;
            buffer_append(&plain, bytes_of(rest.data + skipped, line_size - skipped));
        } else
            buffer_append(&plain, bytes_first(rest, line_size));
        i += line_size;
    }
    assert(plain.size == 0 || plain.data != NULL);
    EXPECT_TEXT(buffer_bytes(&plain), bytes_of_text(said));
    options_fini(&options);
    buffer_fini(&message);
    buffer_fini(&plain);
}

TEST(a_file_may_hold_every_role_as_often_as_it_likes)
{
    static const char text[] = "threads: 2\n"
                               "memory: 1G   # plenty\n"
                               "loop: epoll\n"
                               "persist: values\n"
                               "idle-timeout: \"5s\"\n"
                               "cache:\n"
                               "  listen: [tcp://127.0.0.1:7001, 'memcached://127.0.0.1:7002']\n"
                               "gateway:\n"
                               "  - origin: https://a.example\n"
                               "    listen: http://127.0.0.1:7003\n"
                               "  - origin: http://b.example\n"
                               "    stale-if-error: 1h\n"
                               "    listen:\n"
                               "      - http://127.0.0.1:7004\n"
                               "mock:\n"
                               "  data: db.json\n";
    struct options options;
    struct buffer message = {0};

    if (load(&options, bytes_of_text(text), &message) != OK)
        fail_msg("%.*s", BYTES_PRINTF(buffer_bytes(&message)));
    EXPECT_EQ(options.threads, 2);
    EXPECT_EQ(options.memory_bytes, 1 << 30);
    EXPECT_EQ(options.loop, LOOP_EPOLL);
    assert_string_equal(options.persist_path, "/tmp/values");
    EXPECT_EQ(options.idle_timeout_ms, 5000);
    EXPECT_EQ(options.role_count, 4);
    EXPECT_EQ(options.roles[0].role, ROLE_CACHE);
    EXPECT_EQ(options.roles[0].listens.count, 2);
    EXPECT_EQ(options.roles[0].listens.items[1].protocol, LISTEN_MEMCACHED);
    assert_string_equal(options.roles[0].listens.items[1].address, "127.0.0.1:7002");
    EXPECT_EQ(options.roles[0].listens.items[1].where.line, 7);
    EXPECT_EQ(options.roles[0].listens.items[1].where.column, 34);
    assert_string_equal(options.roles[1].upstream_policy.origin_urls, "https://a.example");
    assert_string_equal(options.roles[2].upstream_policy.origin_urls, "http://b.example");
    EXPECT_EQ(options.roles[1].route_policy.stale_if_error_ms, 0);
    EXPECT_EQ(options.roles[2].route_policy.stale_if_error_ms, 3600000);
    EXPECT_EQ(options.roles[2].where.line, 11);
    EXPECT_EQ(options.roles[3].role, ROLE_MOCK);
    assert_string_equal(options.roles[3].data_path, "/tmp/db.json");
    assert_string_equal(options.roles[3].listens.items[0].address, "127.0.0.1:3000");
    options_fini(&options);
    buffer_fini(&message);
}

TEST(a_role_without_a_word_has_its_defaults)
{
    static const char *const texts[] = {"cache:\n", "cache: {}\n", "cache: [{}]\n", "{cache: }",
                                        "\"cache\":\n"};
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        struct options options;
        struct buffer message = {0};
        if (load(&options, bytes_of_text(texts[i]), &message) != OK)
            fail_msg("%.*s", BYTES_PRINTF(buffer_bytes(&message)));
        EXPECT_EQ(options.role_count, 1);
        assert_string_equal(options.roles[0].listens.items[0].address, "127.0.0.1:6379");
        options_fini(&options);
        buffer_fini(&message);
    }
}

TEST(a_flag_on_the_command_line_wins_over_the_file)
{
    char path[32], threads[] = "--threads=3", persist[] = "--persist=here";
    char serve[] = "serve", nuthatch[] = "nuthatch";
    char *arguments[] = {nuthatch, serve, path, threads, persist, NULL};
    struct options options;
    struct buffer message = {0};

    write_file(path, BYTES("threads: 2\npersist: there\nmax-connections: 9\ncache:\n"));
    options_init(&options);
    EXPECT_EQ(options_parse_arguments(&options, 5, arguments, &message), OK);
    EXPECT_EQ(options.verb, VERB_SERVE);
    EXPECT_EQ(options.threads, 3);
    EXPECT_EQ(options.connections_max, 9);
    assert_string_equal(options.persist_path, "here");
    EXPECT_EQ(options.role_count, 1);
    assert_string_equal(options.file, path);
    options_fini(&options);
    unlink(path);

    write_file(path, BYTES("threads: many\ncache:\n")); /* and the file must be right all the same */
    EXPECT_EQ(options_parse_arguments(&options, 5, arguments, &message), ERR_SYNTAX);
    options_fini(&options);
    unlink(path);
    buffer_fini(&message);
}

TEST(each_problem_is_said_with_its_line_and_column_and_the_walk_goes_on)
{
    expect_refused(
        BYTES("threads: 2\n"
              "trheads: 3\n"
              "memory: [1]\n"
              "cache:\n"
              "  lisen: tcp://127.0.0.1:1\n"
              "  latency: 5s\n"
              "  memory: 5\n"
              "  listen: [tcp://127.0.0.1:1, [x]]\n"
              "gateway:\n"
              "  - origin: example.com\n"
              "  - object-max: 12q\n"
              "    origin:\n"
              "mock: 5\n"
              "threads: 4\n"
              "listen: x\n"
              "gateway:\n"
              "max-connections: 0\n"),
        "2:1: unknown key trheads; did you mean threads?\n"
        "3:9: memory is one value, not a list or a mapping\n"
        "5:3: unknown key lisen; did you mean listen?\n"
        "6:3: latency belongs under mock\n"
        "7:3: memory belongs at the top of the file, not under cache\n"
        "8:31: listen is a list of plain values, nothing deeper\n"
        "10:13: origin: \"example.com\" is not an origin; write one like https://api.example.com or "
        "http://127.0.0.1:3000/base\n"
        "11:17: object-max: \"12q\" does not fit; write a size, such as 512, 64k, 1M or 1G\n"
        "12:12: origin has no value; write origin: URL\n"
        "13:7: mock is a mapping of its options, or a list of such mappings\n"
        "14:1: threads is there twice; keep one\n"
        "15:1: listen belongs under cache or gateway or mock\n"
        "16:1: gateway is there twice; make it one key with a list\n"
        "17:18: max-connections: 0 is out of range; write 1 to 10000000\n");
}

TEST(a_gateway_may_have_upstreams_and_routes)
{
    static const char text[] = "gateway:\n"
                               "  stale-if-error: 1h\n"
                               "  routes:\n"
                               "    - match: {host: a.example, path: /x/**, method: [GET, HEAD]}\n"
                               "      upstream: one\n"
                               "      stale-if-error: 10m\n"
                               "      host-header: pass\n"
                               "      rewrite: {strip-prefix: /x, prefix: /y}\n"
                               "      request-headers: {set: {X-Api: \"1\"}, remove: [Cookie, X-Kind]}\n"
                               "      response-headers: {set: {X-Frame: deny}, remove: Server}\n"
                               "      credentials: {header: X-Key, value-file: key, prefix: \"Bearer \"}\n"
                               "    - match:\n"
                               "        method: POST\n"
                               "        header: {X-Kind: \"a*\"}\n"
                               "  upstreams:\n"
                               "    one: {origin: http://one.example, connect-timeout: 1s}\n"
                               "    two: {origin: [http://two.example, http://three.example weight=2]}\n"
                               "  connect-timeout: 2s\n"
                               "  origin: http://plain.example\n";
    struct options options;
    struct buffer message = {0};
    const struct role_options *role;

    if (load(&options, bytes_of_text(text), &message) != OK)
        fail_msg("%.*s", BYTES_PRINTF(buffer_bytes(&message)));
    role = &options.roles[0];
    EXPECT_EQ(role->upstream_count, 2);
    assert_string_equal(role->upstreams[0].spec.name, "one");
    assert_string_equal(role->upstreams[0].spec.policy.origin_urls, "http://one.example");
    assert_string_equal(role->upstreams[1].spec.policy.origin_urls,
                        "http://two.example\nhttp://three.example weight=2");
    EXPECT_EQ(role->upstreams[0].spec.policy.connect_timeout_ms, 1000);
    EXPECT_EQ(role->upstreams[1].spec.policy.connect_timeout_ms, 2000);
    EXPECT_EQ(role->upstreams[1].spec.policy.origin_connections_max, 1024);
    EXPECT_EQ(role->route_count, 2);
    assert_string_equal(role->routes[0].spec.match.host, "a.example");
    assert_string_equal(role->routes[0].spec.match.path, "/x/**");
    EXPECT_EQ(role->routes[0].spec.match.method_count, 2);
    assert_string_equal(role->routes[0].spec.match.methods[1], "HEAD");
    assert_string_equal(role->routes[0].spec.upstream, "one");
    EXPECT_EQ(role->routes[0].spec.policy.stale_if_error_ms, 600000);
    EXPECT_EQ(role->routes[0].spec.policy.host_header, ROUTE_HOST_PASS);
    assert_string_equal(role->routes[0].spec.rewrite.strip_prefix, "/x");
    assert_string_equal(role->routes[0].spec.rewrite.prefix, "/y");
    assert_string_equal(role->routes[0].spec.request_fields.set[0].name, "X-Api");
    assert_string_equal(role->routes[0].spec.request_fields.set[0].value, "1");
    assert_string_equal(role->routes[0].spec.request_fields.removed[1], "X-Kind");
    assert_string_equal(role->routes[0].spec.response_fields.set[0].value, "deny");
    assert_string_equal(role->routes[0].spec.response_fields.removed[0], "Server");
    assert_string_equal(role->routes[0].spec.credential.header, "X-Key");
    assert_string_equal(role->routes[0].credential_file, "/tmp/key");
    assert_string_equal(role->routes[0].credential_prefix, "Bearer ");
    assert_null(role->routes[1].spec.upstream);
    EXPECT_EQ(role->routes[1].spec.policy.host_header, ROUTE_HOST_ORIGIN);
    assert_string_equal(role->routes[1].spec.match.methods[0], "POST");
    assert_string_equal(role->routes[1].spec.match.fields[0].name, "X-Kind");
    assert_string_equal(role->routes[1].spec.match.fields[0].value, "a*");
    EXPECT_EQ(role->routes[1].spec.policy.stale_if_error_ms, 3600000);
    EXPECT_EQ(role->routes[1].spec.policy.object_bytes_max, 16 << 20);
    options_fini(&options);
    buffer_fini(&message);
}

TEST(a_list_may_be_written_either_way_and_a_route_has_its_own_or_the_gateway_s)
{
    static const char text[] = "gateway:\n"
                               "  origin: http://plain.example\n"
                               "  key-query-ignore: \"utm_*, fbclid\"\n"
                               "  routes:\n"
                               "    - {key-headers: [X-A, \"X-B,X-C\"], key-cookies: session}\n"
                               "    - {key-query-ignore: []}\n"
                               "    - {status-ttl: {200: 10m, \"404\": 30s, 5xx: 0}}\n"
                               "    - {status-ttl: \"2xx = 1d, 404=0\"}\n"
                               "    - {status-ttl: [2xx=1d, 404=500ms]}\n";
    struct options options;
    struct buffer message = {0};
    const struct role_options *role;

    if (load(&options, bytes_of_text(text), &message) != OK)
        fail_msg("%.*s", BYTES_PRINTF(buffer_bytes(&message)));
    role = &options.roles[0];
    assert_string_equal(role->routes[0].spec.policy.key_query_ignore, "utm_*,fbclid");
    assert_string_equal(role->routes[0].spec.policy.key_headers, "X-A,X-B,X-C");
    assert_string_equal(role->routes[0].spec.policy.key_cookies, "session");
    assert_null(role->routes[0].spec.policy.key_query_allow);
    assert_null(role->routes[1].spec.policy.key_query_ignore);
    assert_string_equal(role->routes[2].spec.policy.status_ttl, "200=600000,404=30000,5xx=0");
    assert_string_equal(role->routes[3].spec.policy.status_ttl, "2xx=86400000,404=0");
    assert_string_equal(role->routes[4].spec.policy.status_ttl, "2xx=86400000,404=500");
    options_fini(&options);
    buffer_fini(&message);
}

TEST(each_problem_of_an_upstream_is_said_with_its_place)
{
    static const struct {
        const char *text, *said;
    } cases[] = {
        {"  upstreams: x\n", "2:14: upstreams is a mapping of names, such as `github: {origin: "
                             "https://api.github.com}`\n"},
        {"  upstreams:\n    a b: {}\n    a: {origin: http://a}\n    a: {}\n  routes: [{upstream: a}]\n",
         "3:5: \"a b\" is no name for an upstream; write letters, digits, - and _\n"
         "5:5: upstream a is there twice; keep one\n"},
        {"  upstreams:\n    a: {origin: http://a, stale-if-error: 1s}\n  routes: [{upstream: a}]\n",
         "3:27: stale-if-error belongs under a route or the gateway, not under an upstream\n"},
        {"  upstreams:\n    a: {orgin: x}\n    b: 5\n  routes: [{upstream: a}]\n",
         "3:9: unknown key orgin; did you mean origin?\n"
         "4:8: an upstream is a mapping of its keys and their values\n"
         "3:5: upstream a has no `origin`: the API to stand in front of, http or https, or a list of its "
         "origins\n"
         "4:5: upstream b has no `origin`: the API to stand in front of, http or https, or a list of its "
         "origins\n"},
        {"  upstreams:\n    a: {origin: http://a, origin: http://b, connect-timeout: 1}\n  routes: "
         "[{upstream: a}]\n",
         "3:27: origin is there twice; keep one\n"
         "3:62: connect-timeout: \"1\" does not fit; write a time with its unit, such as 300ms, 5s, 2m or "
         "1h\n"},
        {"  upstreams:\n    a: {origin: http://a, zzz: 1}\n  upstreams:\n",
         "3:27: zzz is no key of an upstream; see docs/options.md\n"
         "4:3: upstreams is there twice; keep one\n"
         "3:5: nothing leads to the upstreams; add routes\n"},
        {"  upstream:\n    a: {origin: http://a}\n",
         "2:3: unknown key upstream; did you mean upstreams?\n"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct buffer text = {0};
        buffer_append_literal(&text, "gateway:\n");
        buffer_append(&text, bytes_of_text(cases[i].text));
        expect_refused(buffer_bytes(&text), cases[i].said);
        buffer_fini(&text);
    }
}

TEST(each_problem_of_a_route_is_said_with_its_place)
{
    static const struct {
        const char *text, *said;
    } cases[] = {
        {"  routes: x\n", "4:11: routes is a list: begin each with a dash, `- match:`\n"},
        {"  routes:\n  - 5\n", "5:5: a route is a mapping of its keys and their values\n"
                               "5:5: the route has no `upstream`; write upstream: one\n"},
        {"  routes:\n  - match: {}\n", "5:5: the route has no `upstream`; write upstream: one\n"},
        {"  routes:\n  - upstream:\n",
         "5:14: upstream has no value; write the name of one under upstreams\n"},
        {"  routes:\n  - upstream: oen\n  - upstream: other\n",
         "5:15: there is no upstream oen; did you mean one?\n"
         "6:15: there is no upstream other; add it under upstreams\n"},
        {"  routes:\n  - {upstream: one, stale-if-eror: 10m}\n",
         "5:21: unknown key stale-if-eror; did you mean stale-if-error?\n"},
        {"  routes:\n  - {upstream: one, connect-timeout: 1s}\n",
         "5:21: connect-timeout belongs under an upstream or the gateway, not under a route\n"},
        {"  routes:\n  - {upstream: one, stale-if-error: 10}\n",
         "5:37: stale-if-error: \"10\" does not fit; write a time with its unit, such as 300ms, 5s, 2m or "
         "1h\n"},
        {"  routes:\n  - {upstream: one, object-max: 65M}\n",
         "5:5: object-max is more than value-max; lower the one or raise the other\n"},
        {"  routes:\n  - {upstream: one, upstream: one}\n  routes:\n",
         "5:21: upstream is there twice; keep one\n6:3: routes is there twice; keep one\n"},
        {"  routes:\n  - {upstream: one, match: [x]}\n",
         "5:28: match is a mapping of its keys and their values\n"},
        {"  routes:\n  - {upstream: one, match: {metod: GET, zzzz: x}}\n",
         "5:29: unknown key metod; did you mean method?\n"
         "5:41: zzzz is no key of match; write host, path, method, header\n"},
        {"  routes:\n  - {upstream: one, match: {host: \"a.*.com\", path: a/b}}\n",
         "5:35: host: \"a.*.com\" has a * that is not all of its first label, as in *.example.com\n"
         "5:52: path: \"a/b\" does not begin with /\n"},
        {"  routes:\n  - {upstream: one, match: {host: http://a, path: /a*}}\n",
         "5:35: host: \"http://a\" is more than a name; leave out scheme, port and path\n"
         "5:51: path: \"/a*\" mixes * or {name} with other letters; each stands for a whole segment "
         "between "
         "slashes\n"},
        {"  routes:\n  - {upstream: one, match: {method: [[x], \"G T\", GET], header: 5}}\n",
         "5:38: method is one value, not a list or a mapping; write a method, such as GET, or a list of "
         "them\n"
         "5:43: method: \"G T\" has a byte that it cannot have\n"
         "5:64: header is a mapping of names and values, such as {X-Kind: \"a\"}\n"},
        {"  routes:\n  - {upstream: one, match: {header: {A b: x, X: , Y: z, y: y}}}\n",
         "5:38: header: \"A b\" is no field's name\n"
         "5:49: X has no value; write a pattern of its value, such as \"a*\", or \"*\" for any\n"
         "5:57: header: Y is there twice; keep one\n"},
        {"  routes:\n  - {upstream: one, rewrite: {strip-prefix: /a/, prefix: b, path: c}}\n",
         "5:45: strip-prefix: \"/a/\" ends with /; leave that out\n"
         "5:58: prefix: \"b\" does not begin with /\n"
         "5:67: path: \"c\" does not begin with /\n"},
        {"  routes:\n  - {upstream: one, rewrite: {strip-prefix: /a}}\n",
         "5:30: rewrite: the strip-prefix is not what the path of the match begins with\n"},
        {"  routes:\n  - {rewrite: {strip-prefix: /a/b}, match: {path: /a/*/b}, upstream: one}\n",
         "5:15: rewrite: the strip-prefix is not what the path of the match begins with\n"},
        {"  routes:\n  - {upstream: one, rewrite: {path: /a, prefix: /b}}\n",
         "5:30: rewrite: the path says it all; leave strip-prefix and prefix out\n"},
        {"  routes:\n  - {upstream: one, rewrite: {path: \"/a/{b}\"}, match: {path: /a/*}}\n",
         "5:30: rewrite: the path has a {name} that the path of the match has not\n"},
        {"  routes:\n  - {upstream: one, rewrite: {path: /a/**}, match: {path: /a/*}}\n",
         "5:30: rewrite: the path has a ** that the path of the match has not\n"},
        {"  routes:\n  - {upstream: one, rewrite: {path: /a/*}, match: {path: /a/*}}\n",
         "5:30: rewrite: the path has a * without a name; write {name} here and in the path of the "
         "match\n"},
        {"  routes:\n  - {upstream: one, request-headers: {set: {Host: a, Cookie: a, Range: a, TE: a, X: "
         "\" a\"}}}\n",
         "5:45: set: \"Host\" is not set here; see host-header\n"
         "5:54: set: \"Cookie\" is a credential; write it under credentials, from the environment or a "
         "file\n"
         "5:65: set: \"Range\" is the gateway's own to send: it validates what it has stored by it\n"
         "5:75: set: \"TE\" is a field that no origin is sent\n"
         "5:85: X: \" a\" has a blank at an end\n"},
        {"  routes:\n  - {upstream: one, request-headers: {remove: [Host, a b, [c]], sett: 5}}\n",
         "5:48: remove: \"Host\" cannot be removed: every request has one\n"
         "5:54: remove: \"a b\" is no field's name\n"
         "5:59: remove is one value, not a list or a mapping; write a field's name, or a list of them\n"
         "5:65: unknown key sett; did you mean set?\n"},
        {"  routes:\n  - {upstream: one, response-headers: {set: [a], remove: [Age, Content-Length, "
         "Content-Encoding]}}\n",
         "5:45: set is a mapping of names and values, such as {X-Kind: \"a\"}\n"
         "5:59: remove: \"Age\" says how old the answer is and whence it came; it stays\n"
         "5:64: remove: \"Content-Length\" says how the body is sent; it stays\n"
         "5:80: remove: \"Content-Encoding\" says how the body is sent; it stays\n"},
        {"  routes:\n  - {upstream: one, key-query-allow: [id, \"a=b\"], key-headers: \"X-A, Host\"}\n",
         "5:43: key-query-allow: \"a=b\" is no parameter's name; write it as in the URL, with * at its end "
         "for "
         "all that begin so\n"
         "5:64: key-headers: \"Host\" is not written here; see host-header\n"},
        {"  routes:\n  - {upstream: one, cors-origins: [https://a/b], cors-methods: [a b]}\n",
         "5:36: cors-origins: \"https://a/b\" is no origin; write one like https://app.example.com, "
         "https://*.example.com or http://localhost:3000, without a path\n"
         "5:65: cors-methods: \"a b\" is no name\n"},
        {"  routes:\n  - {upstream: one, cors-origins: \"*\", cors-credentials: yes}\n"
         "  - {upstream: one, cors-methods: PUT}\n",
         "5:5: cors-credentials and cors-origins \"*\" would show any page what its reader may see; name "
         "the "
         "origins\n"
         "6:5: cors-methods and the like do nothing without cors-origins; write whose pages they are "
         "for\n"},
        {"  routes:\n  - {upstream: one, status-ttl: {200: 10, 600: 1s, 404: 1s, 4xx: [a], 404: 2s, 304: "
         "1s}}\n",
         "5:39: status-ttl: \"200=10\" does not fit; write a status and a time with its unit, such as "
         "404=30s or "
         "5xx=0\n"
         "5:48: status-ttl: \"600=1000\" begins with no status; write one from 200 to 599, or a class such "
         "as "
         "5xx\n"
         "5:66: status-ttl is a mapping of plain values, nothing deeper\n"
         "5:76: status-ttl: \"404=2s\" has a status that is there twice; keep one\n"
         "5:85: status-ttl: \"304=1000\" has a status whose answers are not kept as such\n"},
        {"  routes:\n  - {upstream: one, status-ttl: [200, 2xx=366d, =1s]}\n",
         "5:34: status-ttl: \"200\" does not fit; write a status and a time with its unit, such as 404=30s "
         "or "
         "5xx=0\n"
         "5:39: status-ttl: \"2xx=366d\" is longer than a year\n"
         "5:49: status-ttl: \"=1000\" begins with no status; write one from 200 to 599, or a class such as "
         "5xx\n"},
        {"  routes:\n  - {upstream: one, key-cookies: {a: b}, key-query-ignore: [[a]]}\n",
         "5:34: key-cookies is one value or a list, not a mapping\n"
         "5:61: key-query-ignore is a list of plain values, nothing deeper\n"},
        {"  routes:\n  - {upstream: one, credentials: {value-env: TOKEN}}\n",
         "5:34: credentials have no `header`; write the field to send them in, such as Authorization\n"},
        {"  routes:\n  - {upstream: one, credentials: {header: Authorization}}\n",
         "5:34: credentials have one of value-env and value-file, the place where the value is found\n"},
        {"  routes:\n  - {upstream: one, credentials: {header: A, value-env: B, value-file: c}}\n",
         "5:34: credentials have one of value-env and value-file, the place where the value is found\n"},
        {"  routes:\n  - {upstream: one, credentials: {header: Host, value-env: ghp_secret!, value: x}}\n",
         "5:43: header: \"Host\" is a field that no origin is sent\n"
         "5:60: value-env is no variable's name; write letters, digits and _; the value itself belongs in "
         "that "
         "variable\n"
         "5:73: value is no key of credentials; write header, value-env, value-file, prefix\n"},
        {"  routes:\n  - {upstream: one, match: &a {path: \"/\\0\"}}\n",
         "5:28: anchors and aliases are not taken here; write the value out\n"},
        {"  routes: [*a]\n", "4:12: anchors and aliases are not taken here; write the value out\n"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct buffer text = {0};
        buffer_append_literal(&text, "gateway:\n  upstreams:\n    one: {origin: http://one}\n");
        buffer_append(&text, bytes_of_text(cases[i].text));
        expect_refused(buffer_bytes(&text), cases[i].said);
        buffer_fini(&text);
    }
}

TEST(composed_routes_are_read_and_have_what_their_gateway_says)
{
    static const char text[] =
        "gateway:\n"
        "  origin: http://one\n"
        "  compress: yes\n"
        "  compose:\n"
        "  - path: /overview/{id}\n"
        "    parts:\n"
        "      user: /users/{id}\n"
        "      posts:\n"
        "        target: /posts?user={id}&page={query.page}\n"
        "        pointer: /items\n"
        "        optional: yes\n"
        "        timeout: 2s\n"
        "      last: {target: \"/last/{id}\", select: {at: /time, by: /who/name}, optional: no}\n"
        "    on-failure: null\n"
        "    pass-headers: [Accept-Language, X-Tenant]\n"
        "    compose-max: 64k\n"
        "    cors-origins: \"*\"\n"
        "  - {path: /plain, parts: {a: /a}, compress: no, on-failure: fail, timeout: 1m}\n";
    const struct composition_spec *spec;
    struct buffer message = {0};
    struct options options;

    EXPECT_EQ(load(&options, bytes_of_text(text), &message), OK);
    EXPECT_EQ(message.size, 0);
    EXPECT_EQ(options.roles[0].composition_count, 2);
    spec = &options.roles[0].compositions[0].spec;
    assert_string_equal(spec->path, "/overview/{id}");
    EXPECT_EQ(spec->part_count, 3);
    assert_string_equal(spec->parts[0].name, "user");
    assert_string_equal(spec->parts[0].target, "/users/{id}");
    assert_null(spec->parts[0].optional);
    EXPECT(!part_is_required(spec, &spec->parts[0]));
    assert_string_equal(spec->parts[1].target, "/posts?user={id}&page={query.page}");
    assert_string_equal(spec->parts[1].pointer, "/items");
    EXPECT_EQ(spec->parts[1].timeout_ms, 2000);
    EXPECT_EQ(spec->parts[2].selected_count, 2);
    assert_string_equal(spec->parts[2].selected[1].name, "by");
    assert_string_equal(spec->parts[2].selected[1].value, "/who/name");
    EXPECT(part_is_required(spec, &spec->parts[2]));
    EXPECT_EQ(spec->passed_count, 2);
    EXPECT_EQ(spec->timeout_ms, 10000);
    EXPECT_EQ(spec->body_bytes_max, 65536);
    assert_string_equal(spec->policy.cors_origins, "*");
    EXPECT_EQ(spec->policy.compress, 1);
    spec = &options.roles[0].compositions[1].spec;
    EXPECT_EQ(spec->policy.compress, 0);
    EXPECT_EQ(spec->timeout_ms, 60000);
    EXPECT_EQ(spec->body_bytes_max, 1024 * 1024);
    EXPECT(part_is_required(spec, &spec->parts[0]));
    options_fini(&options);
    buffer_fini(&message);
}

TEST(each_problem_of_a_composed_route_is_said_with_its_place)
{
    static const struct {
        const char *text, *said;
    } cases[] = {
        {"  compose: x\n", "3:12: compose is a list: begin each with a dash, `- path:`\n"},
        {"  compose: []\n  compose: []\n", "4:3: compose is there twice; keep one\n"},
        {"  compose:\n  - {}\n",
         "4:5: the composed route has no `path`; write path: /overview\n"
         "4:5: the composed route has no `parts`; write at least one, such as `user: /users/1`\n"},
        {"  compose:\n  - {path: a, parts: {b: /b}}\n", "4:12: path: \"a\" does not begin with /\n"},
        {"  compose:\n  - path: /a/{id}\n    parts:\n      errors: /x\n      b c: /x\n      d: /{x}\n"
         "      e: {pointer: x}\n      f: {pointer: /x}\n      g: /x\n      g: /y\n",
         "6:7: the part errors is where failures are told; call the part something else\n"
         "7:7: the part b c is no name here; write 1 to 64 letters, digits, _, - and .\n"
         "9:20: pointer: \"x\" is no JSON Pointer: it begins with /, such as /items/0/name\n"
         "12:7: the part g is there twice; keep one\n"
         "8:7: the target of the part d has a {name} that the path has not\n"
         "10:7: the part f has no `target`; write a path of one of the routes, such as "
         "\"/users/{id}\"\n"},
        {"  compose:\n  - path: /a\n    parts:\n      b: {target: /x, pointer: /y, select: {c: /d}}\n",
         "6:7: the part b has a pointer and select; leave out the one or the other\n"},
        {"  compose:\n  - {path: /a, parts: {b: /b}, object-max: 1M, cors-orgins: x, zzzz: no, timeout: "
         "5}\n",
         "4:32: object-max belongs under a route that leads to an upstream, not under a composed route\n"
         "4:48: unknown key cors-orgins; did you mean cors-origins?\n"
         "4:64: zzzz is no key of a composed route; see docs/compose.md\n"
         "4:83: timeout: \"5\" does not fit; write a time with its unit, such as 300ms, 5s, 2m or 1h\n"},
        {"  compose:\n"
         "  - {path: \"/a/{id}\", parts: {b: /c, d: /e/x}, pass-headers: [Host, If-None-Match], "
         "on-failure: nul}\n"
         "  - {path: \"/e/{id}\", parts: {b: \"/a/{id}\"}}\n"
         "  - {path: \"/e/{id}\", parts: {b: /c}}\n",
         "4:63: pass-headers: \"Host\" is a field that no origin is sent\n"
         "4:69: pass-headers: \"If-None-Match\" is about the composed answer: it is not passed on\n"
         "4:97: on-failure: \"nul\" is neither null (the part is null) nor fail (so does the whole)\n"
         "4:38: the target of the part d is composed itself, as /e/{id}; name what that is made of\n"
         "5:31: the target of the part b is composed itself, as /a/{id}; name what that is made of\n"
         "6:12: path: /e/{id} is composed twice; keep one\n"},
        {"  compose:\n  - {path: \"/a/{id}\", parts: {b: /b}}\n"
         "  poll:\n  - {url: \"/{what}/1\", over: [b, a], interval: 1m}\n  - {url: /b, interval: 1m}\n",
         "6:5: what is polled is composed, as /a/{id}; poll what that is made of\n"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct buffer text = {0};
        buffer_append_literal(&text, "gateway:\n  origin: http://one\n");
        buffer_append(&text, bytes_of_text(cases[i].text));
        expect_refused(buffer_bytes(&text), cases[i].said);
        buffer_fini(&text);
    }
}

TEST(what_no_single_option_can_know_is_said_with_a_place_too)
{
    static const struct {
        const char *text, *said;
    } cases[] = {
        {"gateway:\n", "1:9: gateway has no `origin`: the API to stand in front of, http or https, or a "
                       "list of its origins\n"},
        {"mock:\n  latency: 1s\n", "2:3: mock has no `data`: what to serve: a JSON or YAML file of "
                                   "collections, a folder with a file for each, or an OpenAPI document\n"},
        {"cache:\n  - listen: tcp://127.0.0.1:5\n  - listen: tcp://127.0.0.1:5\n",
         "3:13: 127.0.0.1:5 is taken by the listener of line 2; give each role its own `listen`\n"},
        {"gateway:\n  - origin: http://a\n  - origin: http://b\n",
         "3:5: 127.0.0.1:8080 is taken by the listener of line 2; give each role its own `listen`\n"},
        {"cache:\nmemory: 4M\nvalue-max: 3M\n",
         "3:12: value-max is more than half of memory; lower the one or raise the other\n"},
        {"cache:\nconnection-buffer: 1M\n", "2:20: connection-buffer has no room for the largest value; "
                                            "write at least 67174400, which is value-max and "
                                            "64k, or 0\n"},
        {"gateway:\n  origin: http://a\n  object-max: 65M\n",
         "2:3: object-max is more than value-max; lower the one or raise the other\n"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++)
        expect_refused(bytes_of_text(cases[i].text), cases[i].said);
}

TEST(what_is_not_a_plain_mapping_is_refused)
{
    static const struct {
        struct bytes text;
        const char *said;
    } cases[] = {
        {BYTES_INIT(""), "1:1: the file is empty; name a role: cache, gateway or mock\n"},
        {BYTES_INIT("# nothing\n"), "1:1: the file is empty; name a role: cache, gateway or mock\n"},
        {BYTES_INIT("threads: 2\n"), "1:1: no role; add cache, gateway or mock\n"},
        {BYTES_INIT("cache"), "1:1: the file must be a mapping of options and roles, such as `cache:`\n"},
        {BYTES_INIT("- cache\n"),
         "1:1: the file must be a mapping of options and roles, such as `cache:`\n"},
        {BYTES_INIT("cache:\n---\ncache:\n"), "2:1: a second document; keep one to a file\n"},
        {BYTES_INIT("cache: &a {}\n"),
         "1:8: anchors and aliases are not taken here; write the value out\n"},
        {BYTES_INIT("cache:\n  listen: &a tcp://h:1\ngateway:\n  listen: *a\n  origin: http://a\n"),
         "2:11: anchors and aliases are not taken here; write the value out\n"
         "4:11: anchors and aliases are not taken here; write the value out\n"},
        {BYTES_INIT("&a cache:\n"), "1:1: anchors and aliases are not taken here; write the value out\n"},
        {BYTES_INIT("cache: {<<: *a}\n"),
         "1:9: unknown key <<; see nuthatch cache --help for those there are\n"},
        {BYTES_INIT("cache: [*a]\n"), "1:9: anchors and aliases are not taken here; write the value out\n"},
        {BYTES_INIT("cache: {listen: [*a]}\n"),
         "1:18: anchors and aliases are not taken here; write the value out\n"},
        {BYTES_INIT("&a {cache: }\n"),
         "1:1: anchors and aliases are not taken here; write the value out\n"},
        {BYTES_INIT("cache:\nthreads: !!int 4\n"),
         "2:10: tags are not taken here; write the plain value\n"},
        {BYTES_INIT("cache:\n? [a, b]\n: 1\n"), "2:3: a key must be a word\n"},
        {BYTES_INIT("cache:\n? {a: b}\n: {c: d}\n"), "2:3: a key must be a word\n"},
        {BYTES_INIT("mock:\n  data: \"a\\0b\"\n"), "2:9: data: a byte of 0 cannot be part of it\n"},
        {BYTES_INIT("cache:\n\"thr\\eads\": 1\n"), "2:1: unknown key thr?ads; did you mean threads?\n"},
        {BYTES_INIT("cache:\nzzz: {a: [b, {c: d}]}\n"),
         "2:1: unknown key zzz; see nuthatch serve --help for those there are\n"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++)
        expect_refused(cases[i].text, cases[i].said);
}

TEST(broken_yaml_is_said_with_its_place)
{
    static const struct {
        struct bytes text;
        const char *start;
    } cases[] = {
        {BYTES_INIT("cache: [\n"), "2:1: not YAML: "},
        {BYTES_INIT("cache:\n\tlisten: x\n"), "2:1: not YAML: "},
        {BYTES_INIT("cache:\nx: 'a\n"), "3:1: not YAML: "},
        {BYTES_INIT("cache:\nmemory: \xff\n"), "2:9: not YAML: "},
        {BYTES_INIT("cache:\n  a\n b: c\n"), "3:"},
        {BYTES_INIT("a\0b"), "1:2: not YAML: "},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct options options;
        struct buffer message = {0};
        struct bytes said;
        EXPECT_EQ(load(&options, cases[i].text, &message), ERR_SYNTAX);
        said = bytes_after(buffer_bytes(&message), strlen(options.file) + 1);
        if (memmem(said.data, said.size, cases[i].start, strlen(cases[i].start)) == NULL)
            fail_msg("%.*s", BYTES_PRINTF(said));
        options_fini(&options);
        buffer_fini(&message);
    }
}

TEST(every_beginning_of_a_file_is_read_without_harm)
{
    static const char text[] =
        "threads: 2\ncache: {listen: [tcp://127.0.0.1:7001, \"a\\x41\"], ? [x] : y}\n"
        "gateway:\n  - origin: https://a.example\n    &b listen: *b\nmock: !x\n  data: |\n    db\n";
    for (size_t size = 0; size < sizeof text; size++) {
        struct options options;
        struct buffer message = {0};
        enum err err = load(&options, bytes_of(text, size), &message);
        EXPECT((err == OK) == (message.size == 0));
        options_fini(&options);
        buffer_fini(&message);
    }
}

TEST(a_file_without_end_or_bottom_is_refused_soon)
{
    enum { DEEP_BYTES = 900000, PROBLEM_COUNT = 1000 };
    struct options options;
    struct buffer text = {0}, message = {0};

    for (int i = 0; i < DEEP_BYTES; i++)
        buffer_append_byte(&text, '[');
    EXPECT_EQ(load(&options, buffer_bytes(&text), &message), ERR_SYNTAX);
    options_fini(&options);

    buffer_clear(&text);
    buffer_clear(&message);
    for (int i = 0; i < PROBLEM_COUNT; i++)
        buffer_append_format(&text, "key%d: x\n", i);
    EXPECT_EQ(load(&options, buffer_bytes(&text), &message), ERR_SYNTAX);
    EXPECT(message.size < 4096);
    EXPECT(memmem(message.data, message.size, "and 980 more problems", 21) != NULL);
    options_fini(&options);

    buffer_clear(&message);
    options_init(&options);
    EXPECT_EQ(options_load_yaml(&options, "/dev/zero", &message), ERR_TOO_LARGE);
    EXPECT_TEXT(buffer_bytes(&message),
                BYTES("nuthatch: /dev/zero: larger than a configuration can be (1 MiB)\n"));
    options_fini(&options);

    buffer_clear(&message);
    EXPECT_EQ(options_load_yaml(&options, "/", &message), ERR_TYPE);
    EXPECT_TEXT(buffer_bytes(&message), BYTES("nuthatch: /: a folder, not a file\n"));
    options_fini(&options);

    buffer_clear(&message);
    EXPECT_EQ(options_load_yaml(&options, "/nowhere/nuthatch.yaml", &message), ERR_MISSING);
    EXPECT_TEXT(buffer_bytes(&message), BYTES("nuthatch: /nowhere/nuthatch.yaml: not found\n"));
    options_fini(&options);
    buffer_fini(&text);
    buffer_fini(&message);
}

RUN_TESTS(TEST_ROW(composed_routes_are_read_and_have_what_their_gateway_says),
          TEST_ROW(each_problem_of_a_composed_route_is_said_with_its_place),
          TEST_ROW(a_file_may_hold_every_role_as_often_as_it_likes),
          TEST_ROW(a_role_without_a_word_has_its_defaults),
          TEST_ROW(a_flag_on_the_command_line_wins_over_the_file),
          TEST_ROW(each_problem_is_said_with_its_line_and_column_and_the_walk_goes_on),
          TEST_ROW(a_gateway_may_have_upstreams_and_routes),
          TEST_ROW(a_list_may_be_written_either_way_and_a_route_has_its_own_or_the_gateway_s),
          TEST_ROW(each_problem_of_an_upstream_is_said_with_its_place),
          TEST_ROW(each_problem_of_a_route_is_said_with_its_place),
          TEST_ROW(what_no_single_option_can_know_is_said_with_a_place_too),
          TEST_ROW(what_is_not_a_plain_mapping_is_refused), TEST_ROW(broken_yaml_is_said_with_its_place),
          TEST_ROW(every_beginning_of_a_file_is_read_without_harm),
          TEST_ROW(a_file_without_end_or_bottom_is_refused_soon))
