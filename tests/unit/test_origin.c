/* links: nuthatch-client nuthatch-net nuthatch-message nuthatch-base
 *
 * Calls to an origin: what is asked, and each way to answer. */
#include "origin_world.h"

/* ---- requests ---------------------------------------------------------------------------------- */

TEST(a_get_brings_status_fields_length_and_body)
{
    struct fixture f;
    struct call *call;

    fixture_with(&f, state);
    call = get(&f, "/plain");
    expect_response(call, 200, "hello");
    EXPECT_EQ(call->body_bytes, 5);
    EXPECT_TEXT(buffer_bytes(&call->fields), BYTES("X-Connection: 1\n"));
    fixture_fini(&f);
}

TEST(a_request_goes_out_as_it_was_given_and_nothing_is_added)
{
    struct fixture f;
    struct call *call;
    struct http_field list[] = {field("B-Field", "2"), field("Accept", "*/*"), field("Empty", ""),
                                field("a-field", "1; x=\"y\""), field("B-Field", "3")};
    char wanted[512];

    fixture_with(&f, state);
    call = new_call(&f);
    start_with(call, "GET", "/a/../b//%7e?c=d&e=%2F?", HTTP_BODY_NONE,
               (struct http_fields){list, COUNT_OF(list)});
    run(&f);
    snprintf(wanted, sizeof wanted,
             "GET /a/../b//%%7e?c=d&e=%%2F? HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nB-Field: 2\r\nAccept: */*\r\n"
             "Empty:\r\na-field: 1; x=\"y\"\r\nB-Field: 3\r\n\r\n",
             f.server.port);
    expect_response(call, 200, wanted);
    fixture_fini(&f);
}

TEST(a_given_host_is_sent_and_a_url_without_a_path_asks_for_the_root)
{
    static const struct {
        const char *tail, *target;
    } cases[] = {{"", "/"}, {"?", "/?"}, {"?q", "/?q"}, {"/", "/"}, {"/?", "/?"}};

    struct fixture f;
    fixture_with(&f, state);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        char url[128], wanted[128];
        struct call *call = new_call(&f);
        struct origin_request request = {.method = BYTES("GET"), .host = BYTES("api.example.com")};
        snprintf(url, sizeof url, "http://127.0.0.1:%d%s", f.server.port, cases[i].tail);
        snprintf(wanted, sizeof wanted, "GET %s HTTP/1.1\r\nHost: api.example.com\r\n\r\n",
                 cases[i].target);
        request.url = bytes_of_text(url);
        EXPECT_EQ(try_request(call, &request), OK);
        run(&f);
        expect_response(call, 200, wanted);
    }
    fixture_fini(&f);
}

TEST(what_cannot_be_sent_is_refused_at_once)
{
    static const struct {
        const char *method, *url, *name, *value;
        int64_t body_bytes;
    } cases[] = {
        {"GET", "", NULL, NULL, 0},
        {"GET", "127.0.0.1", NULL, NULL, 0},
        {"GET", "ftp://127.0.0.1/", NULL, NULL, 0},
        {"GET", "file:///etc/passwd", NULL, NULL, 0},
        {"GET", "http://", NULL, NULL, 0},
        {"GET", "http:///path", NULL, NULL, 0},
        {"GET", "http://127.0.0.1:99999/", NULL, NULL, 0},
        {"GET", "http://user:password@127.0.0.1/", NULL, NULL, 0},
        {"GET", "http://127.0.0.1/a b", NULL, NULL, 0},
        {"GET", "http://127.0.0.1/a\r\nX: y", NULL, NULL, 0},
        {"GET", "http://127.0.0.1/#fragment", NULL, NULL, 0},
        {"", "http://127.0.0.1/", NULL, NULL, 0},
        {"GE T", "http://127.0.0.1/", NULL, NULL, 0},
        {"GET /x HTTP/1.1\r\nX:", "http://127.0.0.1/", NULL, NULL, 0},
        {"CONNECT", "http://127.0.0.1/", NULL, NULL, 0},
        {"HEAD", "http://127.0.0.1/", NULL, NULL, 5},
        {"GET", "http://127.0.0.1/", "Na me", "value", 0},
        {"GET", "http://127.0.0.1/", "", "value", 0},
        {"GET", "http://127.0.0.1/", "Name", "a\r\nX: y", 0},
        {"GET", "http://127.0.0.1/", "Host", "other", 0},
        {"POST", "http://127.0.0.1/", "Content-Length", "5", 4},
        {"POST", "http://127.0.0.1/", "transfer-encoding", "chunked", 4},
        {"GET", "http://127.0.0.1/", "Connection", "close", 0},
    };
    struct fixture f;

    fixture_with(&f, state);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct http_field list[1];
        struct origin_request request = {.method = bytes_of_text(cases[i].method),
                                         .url = bytes_of_text(cases[i].url),
                                         .body_bytes = cases[i].body_bytes};
        if (cases[i].name != NULL) {
            list[0] = field(cases[i].name, cases[i].value);
            request.fields = (struct http_fields){list, 1};
        }
        EXPECT_EQ(try_request(new_call(&f), &request), ERR_SYNTAX);
    }
    EXPECT_EQ(origin_call_count(f.origin), 0);
    fixture_fini(&f);
}

TEST(a_method_without_a_body_says_a_length_of_0_only_where_a_body_is_expected)
{
    static const struct {
        const char *method, *framing;
    } cases[] = {{"GET", ""},    {"POST", "Content-Length: 0\r\n"},  {"PUT", "Content-Length: 0\r\n"},
                 {"DELETE", ""}, {"PATCH", "Content-Length: 0\r\n"}, {"OPTIONS", ""},
                 {"PURGE", ""}};
    struct fixture f;

    fixture_with(&f, state);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        char wanted[128];
        struct call *call = new_call(&f);
        start(call, cases[i].method, "/echo", HTTP_BODY_NONE);
        run(&f);
        snprintf(wanted, sizeof wanted, "%s /echo HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n%s\r\n",
                 cases[i].method, f.server.port, cases[i].framing);
        expect_response(call, 200, wanted);
        EXPECT_EQ(call->want_count, 0);
    }
    fixture_fini(&f);
}

TEST(a_body_is_sent_in_pieces_with_its_length_or_chunked_by_any_method)
{
    static const char *const methods[] = {"POST", "PUT", "PATCH", "DELETE", "OPTIONS", "REPORT"};
    static const struct bytes pieces[] = {BYTES_INIT("one "), BYTES_INIT("two "), BYTES_INIT("three")};
    struct fixture f;

    fixture_with(&f, state);
    for (size_t i = 0; i < COUNT_OF(methods) * 4; i++) {
        bool is_chunked = i & 1;
        char wanted[256];
        struct call *call = new_call(&f);
        call->sends_later = i & 2;
        call->pieces = pieces;
        call->piece_count = COUNT_OF(pieces);
        start(call, methods[i / 4], "/echo", is_chunked ? HTTP_BODY_UNKNOWN : 13);
        run(&f);
        snprintf(wanted, sizeof wanted,
                 "%s /echo HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n%s\r\n\r\none two three", methods[i / 4],
                 f.server.port, is_chunked ? "Transfer-Encoding: chunked" : "Content-Length: 13");
        expect_response(call, 200, wanted);
        EXPECT_EQ(call->least_room, ROOM_BYTES);
    }
    fixture_fini(&f);
}

TEST(a_long_body_is_asked_for_no_faster_than_the_origin_reads_it)
{
    enum { PIECES = 320 }; /* 20 MiB */
    static char zeros[ROOM_BYTES];
    static struct bytes pieces[PIECES];
    struct fixture f;
    struct call *call;

    for (size_t i = 0; i < PIECES; i++)
        pieces[i] = bytes_of(zeros, sizeof zeros);
    fixture_with(&f, state);
    call = new_call(&f);
    call->pieces = pieces;
    call->piece_count = PIECES;
    start(call, "PUT", "/slow-reader", (int64_t)PIECES * ROOM_BYTES);
    pass_time(&f, 100);
    EXPECT(call->want_count < PIECES / 2); /* what the kernel's socket buffers hold, and little more */
    run(&f);
    expect_response(call, 200, "20971520");
    EXPECT_EQ(call->least_room, ROOM_BYTES);
    fixture_fini(&f);
}

TEST(a_body_of_another_length_than_declared_ends_the_call_and_its_connection)
{
    static const struct bytes pieces[] = {BYTES_INIT("abc"), BYTES_INIT("def")};
    static const int64_t declared_bytes[] = {7, 5, 1, 100000};
    struct fixture f;

    fixture_with(&f, state);
    for (size_t i = 0; i < COUNT_OF(declared_bytes) * 2; i++) {
        struct call *call = new_call(&f);
        call->sends_later = i & 1;
        call->pieces = pieces;
        call->piece_count = COUNT_OF(pieces);
        start(call, "POST", "/echo", declared_bytes[i / 2]);
        run(&f);
        EXPECT_EQ(call->err, ERR_TRUNCATED);
        EXPECT_EQ(call->head_count, 0);
    }
    EXPECT_EQ(number_of(&f, "accepted"), COUNT_OF(declared_bytes) * 2 + 1);
    fixture_fini(&f);
}

TEST(a_refusal_before_the_body_was_read_arrives)
{
    static char zeros[ROOM_BYTES];
    static const struct bytes pieces[] = {
        {zeros, sizeof zeros}, {zeros, sizeof zeros}, {zeros, sizeof zeros}};
    struct fixture f;

    fixture_with(&f, state);
    for (size_t i = 0; i < 3; i++) {
        struct call *call = new_call(&f);
        call->sends_later = i > 0;
        call->pieces = pieces;
        call->piece_count = COUNT_OF(pieces);
        start(call, "POST", "/too-large", i == 1 ? 3 * ROOM_BYTES : HTTP_BODY_UNKNOWN);
        run(&f);
        expect_response(call, 413, "no");
    }
    fixture_fini(&f);
}

TEST(a_refusal_ends_the_call_though_the_owner_never_sends_its_body)
{
    struct fixture f;
    struct call *call;

    fixture_with(&f, state);
    call = new_call(&f);
    call->never_sends = true;
    start(call, "POST", "/too-large", 10);
    run(&f);
    expect_response(call, 413, "no");
    fixture_fini(&f);
}

/* ---- responses --------------------------------------------------------------------------------- */

TEST(the_answer_to_head_says_the_length_and_has_no_body)
{
    struct fixture f;
    struct call *call;

    fixture_with(&f, state);
    for (int i = 0; i < 2; i++) {
        call = new_call(&f);
        start(call, "HEAD", "/head", HTTP_BODY_NONE);
        run(&f);
        expect_response(call, 200, "");
        EXPECT_EQ(call->body_bytes, 1234);
        EXPECT_TEXT(buffer_bytes(&call->fields), BYTES("Content-Type: text/plain\n"));
    }
    EXPECT_EQ(number_of(&f, "accepted"), 1);
    fixture_fini(&f);
}

#define HEAD "HTTP/1.1 200 OK\r\n"

TEST(each_way_to_frame_a_response_is_read)
{
    static const struct {
        const char *method, *response;
        int status;
        int64_t body_bytes;
        const char *fields, *body;
    } cases[] = {
        {"GET", HEAD "Content-Length: 3\r\n\r\nabc", 200, 3, "", "abc"},
        {"GET", HEAD "Content-Length: 0\r\n\r\n", 200, 0, "", ""},
        {"GET", HEAD "Content-Length: 03\r\nContent-Length: 3\r\n\r\nabc", 200, 3, "", "abc"},
        {"GET", HEAD "\r\nuntil the end", 200, HTTP_BODY_UNKNOWN, "", "until the end"},
        {"GET", "HTTP/1.0 200 OK\r\n\r\nold", 200, HTTP_BODY_UNKNOWN, "", "old"},
        {"GET", HEAD "Transfer-Encoding: Chunked\r\n\r\n2;x=y\r\nab\r\n1\r\nc\r\n0\r\n\r\n", 200,
         HTTP_BODY_UNKNOWN, "", "abc"},
        {"GET", HEAD "Transfer-Encoding: chunked\r\nA: b\r\n\r\n1\r\nx\r\n0\r\nTrailer: t\r\nA: z\r\n\r\n",
         200, HTTP_BODY_UNKNOWN, "A: b\n", "x"},
        {"GET", "HTTP/1.1 204 No Content\r\n\r\n", 204, HTTP_BODY_NONE, "", ""},
        {"GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\nETag: \"e\"\r\n\r\n", 304,
         HTTP_BODY_NONE, "ETag: \"e\"\n", ""},
        {"GET", "HTTP/1.1 404\r\nContent-Length: 0\r\n\r\n", 404, 0, "", ""},
        {"GET", "HTTP/1.1 503 \r\nRetry-After:  5 \t\r\nEmpty:\r\nContent-Length: 0\r\n\r\n", 503, 0,
         "Retry-After: 5\nEmpty: \n", ""},
        {"GET", "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n", 302, 0,
         "Location: http://127.0.0.1:1/\n", ""},
        {"GET", "HTTP/1.1 401 No\r\nWWW-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n", 401, 0,
         "WWW-Authenticate: Basic\n", ""},
        {"GET",
         "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\n" HEAD
         "Content-Length: 1\r\n\r\nx",
         200, 1, "", "x"},
        {"GET",
         HEAD
         "Connection: keep-alive, X-Hop\r\nKeep-Alive: timeout=5\r\nx-hop: 1\r\nProxy-Connection: x\r\n"
         "Upgrade: h2c\r\nTrailer: T\r\nTE: x\r\nStays: 2\r\nContent-Length: 0\r\n\r\n",
         200, 0, "Stays: 2\n", ""},
        {"HEAD", HEAD "Transfer-Encoding: chunked\r\n\r\n", 200, HTTP_BODY_UNKNOWN, "", ""},
        {"HEAD", "HTTP/1.1 304 Not Modified\r\n\r\n", 304, HTTP_BODY_NONE, "", ""},
    };
    struct fixture f;

    fixture_with(&f, state);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct call *call = new_call(&f);
        start_raw(call, cases[i].method, cases[i].response, false);
        run(&f);
        expect_response(call, cases[i].status, cases[i].body);
        EXPECT_EQ(call->body_bytes, cases[i].body_bytes);
        EXPECT_TEXT(buffer_bytes(&call->fields), bytes_of_text(cases[i].fields));
    }
    fixture_fini(&f);
}

TEST(interim_responses_are_told_but_for_100)
{
    struct fixture f;
    struct call *call;

    fixture_with(&f, state);
    call = new_call(&f);
    start_raw(call, "GET",
              "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n"
              "HTTP/1.1 103 Early Hints\r\nLink: <x>\r\nConnection: X-Hop\r\nX-Hop: 1\r\n\r\n" HEAD
              "Content-Length: 0\r\n\r\n",
              false);
    run(&f);
    expect_response(call, 200, "");
    EXPECT_EQ(call->interim_count, 2);
    EXPECT_EQ(call->interim_statuses[0], 102);
    EXPECT_EQ(call->interim_statuses[1], 103);
    fixture_fini(&f);
}

TEST(any_status_and_reason_is_handed_on)
{
    static const struct {
        const char *response;
        int status;
        const char *reason;
    } cases[] = {
        {"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 200, "OK"},
        {"HTTP/1.1 200 Fine by me\r\nContent-Length: 0\r\n\r\n", 200, "Fine by me"},
        {"HTTP/1.1 299 \r\nContent-Length: 0\r\n\r\n", 299, ""},
        {"HTTP/1.1 299\r\nContent-Length: 0\r\n\r\n", 299, ""},
        {"HTTP/1.1 600 What\r\nContent-Length: 0\r\n\r\n", 600, "What"},
        {"HTTP/1.1 999 Whatever \xe9\r\nContent-Length: 0\r\n\r\n", 999, "Whatever \xe9"},
    };
    struct fixture f;

    fixture_with(&f, state);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct call *call = new_call(&f);
        start_raw(call, "GET", cases[i].response, false);
        run(&f);
        expect_response(call, cases[i].status, "");
        EXPECT_TEXT(buffer_bytes(&call->reason), bytes_of_text(cases[i].reason));
    }
    fixture_fini(&f);
}

TEST(a_response_in_doubt_is_refused_and_its_connection_not_used_again)
{
    static const struct {
        const char *response;
        enum err err;
    } cases[] = {
        {HEAD "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n", ERR_SYNTAX},
        {HEAD "Transfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n1\r\nx\r\n0\r\n\r\n", ERR_SYNTAX},
        {HEAD "Content-Length: 1\r\nContent-Length: 2\r\n\r\nab", ERR_SYNTAX},
        {HEAD "Content-Length: 1, 1\r\n\r\na", ERR_SYNTAX},
        {HEAD "Content-Length: 1a\r\n\r\na", ERR_SYNTAX},
        {HEAD "Content-Length: -1\r\n\r\n", ERR_SYNTAX},
        {HEAD "Content-Length: +1\r\n\r\na", ERR_SYNTAX},
        {HEAD "Content-Length:\r\n\r\n", ERR_SYNTAX},
        {HEAD "Content-Length: 99999999999999999999\r\n\r\n", ERR_SYNTAX},
        {HEAD "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", ERR_SYNTAX},
        {HEAD "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", ERR_SYNTAX},
        {HEAD "Transfer-Encoding: identity\r\n\r\n", ERR_SYNTAX},
        {HEAD "Transfer-Encoding:\r\n\r\n", ERR_SYNTAX},
        {"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", ERR_SYNTAX},
        {"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello", ERR_SYNTAX},
        {"HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", ERR_SYNTAX},
        {HEAD "A: b\r\n c\r\nContent-Length: 0\r\n\r\n", ERR_SYNTAX},
        {HEAD "A : b\r\nContent-Length: 0\r\n\r\n", ERR_SYNTAX},
        {HEAD ": b\r\nContent-Length: 0\r\n\r\n", ERR_SYNTAX},
        {HEAD "A\r\nContent-Length: 0\r\n\r\n", ERR_SYNTAX},
        {HEAD "A(: b\r\nContent-Length: 0\r\n\r\n", ERR_SYNTAX},
        {HEAD "A: b\x01\r\nContent-Length: 0\r\n\r\n", ERR_SYNTAX},
        {HEAD "A: b\x7f\r\nContent-Length: 0\r\n\r\n", ERR_SYNTAX},
        {HEAD "A: b\rc\r\nContent-Length: 0\r\n\r\n", ERR_SYNTAX},
        {HEAD "A: b\nContent-Length: 0\r\n\r\n", ERR_SYNTAX},
        {HEAD "\rA: b\r\nContent-Length: 0\r\n\r\n", ERR_SYNTAX},
        {HEAD "Content-Length: 0\r\n\n", ERR_SYNTAX},
        {"HTTP/1.1 200 OK\n\r\n", ERR_SYNTAX},
        {"HTTP/1.1  200 OK\r\n\r\n", ERR_SYNTAX},
        {"HTTP/1.1 200OK\r\n\r\n", ERR_SYNTAX},
        {"HTTP/1.1 2000 OK\r\n\r\n", ERR_SYNTAX},
        {"HTTP/1.1 099 What\r\nContent-Length: 0\r\n\r\n", ERR_SYNTAX},
        {"HTTP/1.2 200 OK\r\nContent-Length: 0\r\n\r\n", ERR_SYNTAX},
        {"HTTP/2 200\r\nContent-Length: 0\r\n\r\n", ERR_SYNTAX},
        {"HTTP/3 200\r\nContent-Length: 0\r\n\r\n", ERR_SYNTAX},
        {"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", ERR_SYNTAX},
        {"HTTP/1.1 103 Early Hints\r\nA b\r\n\r\n" HEAD "Content-Length: 0\r\n\r\n", ERR_SYNTAX},
        {"ICY 200 OK\r\n\r\n", ERR_SYNTAX},
        {"just some text, as HTTP/0.9 had it", ERR_SYNTAX},
        {"SSH-2.0-OpenSSH_9.2\r\n", ERR_SYNTAX},
    };
    struct fixture f;

    fixture_with(&f, state);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct call *call = new_call(&f);
        start_raw(call, "GET", cases[i].response, true);
        run(&f);
        if (call->err != cases[i].err || call->head_count != 0)
            fail_msg("%s: %d, %d", cases[i].response, (int)call->err, call->status);
    }
    EXPECT_EQ(number_of(&f, "accepted"), COUNT_OF(cases) + 1);
    fixture_fini(&f);
}

TEST(a_response_that_ends_too_early_is_never_taken_for_a_whole_one)
{
    static const struct {
        const char *response;
        int head_count;
        const char *body;
    } cases[] = {
        {HEAD "Content-Length: 10\r\n\r\nabc", 1, "abc"},
        {HEAD "Content-Length: 10\r\n\r\n", 1, ""},
        {HEAD "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", 1, "abc"},
        {HEAD "Transfer-Encoding: chunked\r\n\r\n3\r\nab", 1, "ab"},
        {HEAD "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n", 1, "abc"},
        {HEAD "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nTrail", 1, "abc"},
        {HEAD "Transfer-Encoding: chunked\r\n\r\nxyz\r\nabc\r\n0\r\n\r\n", 1, ""},
        {HEAD "Transfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n", 1, "abc"},
        {HEAD "Content-Le", 0, ""},
        {HEAD "A: b\r\n", 0, ""},
        {"HTT", 0, ""},
        {"HTTP/1.1 100 Continue\r\n\r\n", 0, ""},
        {"", 0, ""},
    };
    struct fixture f;

    fixture_with(&f, state);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct call *call = new_call(&f);
        start_raw(call, "GET", cases[i].response, false);
        run(&f);
        if (call->err != ERR_TRUNCATED || call->head_count != cases[i].head_count)
            fail_msg("%s: %d, %d heads", cases[i].response, (int)call->err, call->head_count);
        EXPECT_TEXT(buffer_bytes(&call->body), bytes_of_text(cases[i].body));
    }
    fixture_fini(&f);
}

TEST(what_follows_a_response_is_not_taken_for_the_next_one)
{
    struct fixture f;

    fixture_with(&f, state);
    for (int i = 0; i < 3; i++) {
        struct call *call = new_call(&f);
        start_raw(call, "GET", HEAD "Content-Length: 1\r\n\r\na" HEAD "Content-Length: 4\r\n\r\nevil",
                  true);
        run(&f);
        expect_response(call, 200, "a");
        expect_response(get(&f, "/plain"), 200, "hello");
    }
    fixture_fini(&f);
}

TEST(heads_interim_heads_and_trailers_without_end_are_cut_off)
{
    static const char *const paths[] = {"/large-head", "/large-line", "/endless-interim",
                                        "/endless-trailers"};
    struct fixture f;

    fixture_with(&f, state);
    for (size_t i = 0; i < COUNT_OF(paths); i++) {
        struct call *call = get(&f, paths[i]);
        EXPECT_EQ(call->err, ERR_TOO_LARGE);
        EXPECT_EQ(call->head_count, i == 3);
    }
    fixture_fini(&f);
}

TEST(two_hundred_fields_are_read_and_one_more_is_refused)
{
    struct fixture f;

    fixture_with(&f, state);
    for (int count = 200; count <= 201; count++) {
        struct buffer response = {0};
        struct call *call = new_call(&f);
        buffer_append_literal(&response, HEAD "Content-Length: 0\r\n");
        for (int i = 1; i < count; i++)
            buffer_append_format(&response, "F%d: x\r\n", i);
        buffer_append(&response, bytes_of("\r\n", 3));
        start_raw(call, "GET", response.data, true);
        run(&f);
        EXPECT_EQ(call->err, count == 200 ? OK : ERR_TOO_LARGE);
        buffer_fini(&response);
    }
    fixture_fini(&f);
}

TEST(a_response_that_comes_byte_by_byte_is_the_same)
{
    struct fixture f;
    fixture_with(&f, state);
    expect_response(get(&f, "/drip"), 200, "abcde");
    fixture_fini(&f);
}

TEST(a_compressed_body_passes_untouched)
{
    struct fixture f;
    struct call *call;

    fixture_with(&f, state);
    call = get(&f, "/zipped");
    expect_response(call, 200, "\x1f\x8bnot really gzip");
    EXPECT_TEXT(buffer_bytes(&call->fields), BYTES("X-Connection: 1\nContent-Encoding: gzip\n"));
    fixture_fini(&f);
}

RUN_TESTS(ON_BOTH(a_get_brings_status_fields_length_and_body),
          ON_BOTH(a_request_goes_out_as_it_was_given_and_nothing_is_added),
          ON_BOTH(a_given_host_is_sent_and_a_url_without_a_path_asks_for_the_root),
          ON_BOTH(what_cannot_be_sent_is_refused_at_once),
          ON_BOTH(a_method_without_a_body_says_a_length_of_0_only_where_a_body_is_expected),
          ON_BOTH(a_body_is_sent_in_pieces_with_its_length_or_chunked_by_any_method),
          ON_BOTH(a_long_body_is_asked_for_no_faster_than_the_origin_reads_it),
          ON_BOTH(a_body_of_another_length_than_declared_ends_the_call_and_its_connection),
          ON_BOTH(a_refusal_before_the_body_was_read_arrives),
          ON_BOTH(a_refusal_ends_the_call_though_the_owner_never_sends_its_body),
          ON_BOTH(the_answer_to_head_says_the_length_and_has_no_body),
          ON_BOTH(each_way_to_frame_a_response_is_read), ON_BOTH(interim_responses_are_told_but_for_100),
          ON_BOTH(any_status_and_reason_is_handed_on),
          ON_BOTH(a_response_in_doubt_is_refused_and_its_connection_not_used_again),
          ON_BOTH(a_response_that_ends_too_early_is_never_taken_for_a_whole_one),
          ON_BOTH(what_follows_a_response_is_not_taken_for_the_next_one),
          ON_BOTH(heads_interim_heads_and_trailers_without_end_are_cut_off),
          ON_BOTH(two_hundred_fields_are_read_and_one_more_is_refused),
          ON_BOTH(a_response_that_comes_byte_by_byte_is_the_same),
          ON_BOTH(a_compressed_body_passes_untouched))
