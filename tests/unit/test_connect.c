/* links: nuthatch-net
 *
 * From a name and a port to a connected socket, over both back ends. getaddrinfo is ours, so that it can be
 * slow and know names that no machine does. */
#include "loop_world.h"
#include "net/connect.h"
#include "net/resolve.h"
#include <arpa/inet.h>
#include <dlfcn.h>
#include <sys/syscall.h>

/* ---- names -------------------------------------------------------------------------------------- */

static struct {
    sem_t may_go_on; /* of names that begin with "slow" */
    atomic_int slow_count;
} names;

static struct addrinfo *made_address(const char *text, struct addrinfo *next)
{
    struct {
        struct addrinfo info;
        struct sockaddr_in address;
    } *made = calloc(1, sizeof *made);

    made->address.sin_family = AF_INET;
    EXPECT_EQ(inet_pton(AF_INET, text, &made->address.sin_addr), 1);
    made->info = (struct addrinfo){.ai_family = AF_INET,
                                   .ai_addr = (struct sockaddr *)&made->address,
                                   .ai_addrlen = sizeof made->address,
                                   .ai_next = next};
    return &made->info;
}

/* The system's own, except for names of the tests'. */
int getaddrinfo(const char *host, const char *service, const struct addrinfo *hints,
                struct addrinfo **addresses)
{
    static int (*systems)(const char *, const char *, const struct addrinfo *, struct addrinfo **);

    if ((hints->ai_flags & AI_NUMERICHOST) == 0) {
        if (strcmp(host, "nobody") == 0)
            return EAI_NONAME;
        if (strncmp(host, "slow", 4) == 0) {
            names.slow_count++;
            while (sem_wait(&names.may_go_on) != 0)
                continue;
            *addresses = made_address("127.0.0.1", NULL);
            return 0;
        }
        if (strcmp(host, "several") == 0) {
            *addresses =
                made_address("127.0.0.3", made_address("127.0.0.2", made_address("127.0.0.1", NULL)));
            return 0;
        }
    }
    if (systems == NULL)
        *(void **)&systems = dlsym(RTLD_NEXT, "getaddrinfo");
    return systems(host, service, hints, addresses);
}

void freeaddrinfo(struct addrinfo *info)
{
    while (info != NULL) {
        struct addrinfo *next = info->ai_next;
        free(info->ai_canonname);
        free(info);
        info = next;
    }
}

/* ---- a port that the system chooses for us ------------------------------------------------------- */

static atomic_int own_port; /* who connects to it is given it as its own; 0: none is */

/* The system's own, after that: so a socket may be connected to itself. */
int connect(int fd, const struct sockaddr *address, socklen_t size)
{
    const struct sockaddr_in *in = (const struct sockaddr_in *)address;

    if (own_port != 0 && address->sa_family == AF_INET && ntohs(in->sin_port) == own_port)
        EXPECT_EQ(bind(fd, address, size), 0);
    return (int)syscall(SYS_connect, fd, address, size);
}

/* ---- orders ------------------------------------------------------------------------------------- */

struct order {
    struct connect_order order;
    struct connector *connector;
    struct world *world;
    char permitted[16]; /* the only address that may be connected to, or "all"; empty: nobody asks */
    char asked[64];     /* those that were asked for */
    atomic_int asked_count, done_count;
    enum err err;
    int fd;
    bool has_begun;
};

static void done(void *owner, enum err err, int fd)
{
    struct order *order = owner;
    EXPECT(order->has_begun);
    order->err = err;
    order->fd = fd;
    order->done_count++;
}

static bool permits(void *owner, const struct sockaddr *address)
{
    struct order *order = owner;
    char text[16];

    EXPECT_EQ(address->sa_family, AF_INET);
    EXPECT(((const struct sockaddr_in *)address)->sin_port == htons(order->order.port));
    inet_ntop(AF_INET, &((const struct sockaddr_in *)address)->sin_addr, text, sizeof text);
    snprintf(order->asked + strlen(order->asked), sizeof order->asked - strlen(order->asked), " %s", text);
    order->asked_count++;
    return strcmp(text, order->permitted) == 0 || strcmp(order->permitted, "all") == 0;
}

static void begin(struct world *world, void *argument)
{
    struct order *order = argument;

    order->fd = -1;
    order->order.done = done;
    order->order.owner = order;
    order->order.permits = order->permitted[0] != '\0' ? permits : NULL;
    EXPECT_EQ(connect_begin(world->loop, &order->order, &order->connector), OK);
    order->has_begun = true;
}

static void cancel(struct world *world, void *argument)
{
    (void)world;
    connect_cancel(((struct order *)argument)->connector);
}

static void begin_and_cancel(struct world *world, void *argument)
{
    begin(world, argument);
    cancel(world, argument);
}

static void wait_until_done(struct order *order, int count)
{
    for (int waited_ms = 0; waited_ms < PATIENCE_MS && order->done_count < count; waited_ms++)
        sleep_ms(1);
    EXPECT_EQ(order->done_count, count);
}

static uint16_t port_of(const struct world *world) { return address_port(&world->address); }

static int bound_socket(in_addr_t host, struct sockaddr_in *address)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    socklen_t size = sizeof *address;

    *address = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(host)};
    EXPECT_EQ(bind(fd, (struct sockaddr *)address, size), 0);
    EXPECT_EQ(getsockname(fd, (struct sockaddr *)address, &size), 0);
    return fd;
}

/* ---- tests -------------------------------------------------------------------------------------- */

ON_BOTH(an_address_and_a_name_are_connected_to)
{
    static const char *const hosts[] = {"127.0.0.1", "localhost", "several"};
    struct world *world = world_create(kind);

    for (size_t i = 0; i < COUNT_OF(hosts); i++) {
        struct order order = {
            .order = {.host = hosts[i], .port = port_of(world), .timeout_ms = PATIENCE_MS}};
        int on = 0;
        socklen_t size = sizeof on;
        char byte;

        on_loop(world, begin, &order);
        wait_until_done(&order, 1);
        EXPECT_EQ(order.err, OK);
        EXPECT_EQ(getsockopt(order.fd, IPPROTO_TCP, 1 /* TCP_NODELAY */, &on, &size), 0);
        EXPECT(on != 0);
        EXPECT(fcntl(order.fd, F_GETFD) & FD_CLOEXEC);
        EXPECT_EQ(recv(order.fd, &byte, 1, 0), -1);
        EXPECT_EQ(errno, EAGAIN); /* it does not block, and is connected */
        close(order.fd);
    }
    world_destroy(world);
}

ON_BOTH(what_refuses_and_what_has_no_name_is_told)
{
    struct world *world = world_create(kind);
    char long_name[400];
    struct sockaddr_in quiet; /* held by a socket that does not listen */
    int fd = bound_socket(INADDR_LOOPBACK, &quiet);
    struct order orders[] = {
        {.order = {.host = "127.0.0.1"}}, {.order = {.host = "localhost"}}, {.order = {.host = "several"}},
        {.order = {.host = "nobody"}},    {.order = {.host = long_name}},
    };
    static const enum err errs[] = {ERR_REFUSED, ERR_REFUSED, ERR_REFUSED, ERR_NAME, ERR_NAME};

    memset(long_name, 'a', sizeof long_name);
    long_name[sizeof long_name - 1] = '\0';
    for (size_t i = 0; i < COUNT_OF(orders); i++) {
        orders[i].order.port = ntohs(quiet.sin_port);
        orders[i].order.timeout_ms = PATIENCE_MS;
        on_loop(world, begin, &orders[i]);
        wait_until_done(&orders[i], 1);
        EXPECT_EQ(orders[i].err, errs[i]);
        EXPECT_EQ(orders[i].fd, -1);
    }
    close(fd);
    world_destroy(world);
}

ON_BOTH(a_connection_to_oneself_is_a_refusal)
{
    struct world *world = world_create(kind);
    struct order order = {.order = {.host = "127.0.0.1", .timeout_ms = PATIENCE_MS}};
    struct sockaddr_in quiet;

    close(bound_socket(INADDR_LOOPBACK, &quiet));
    own_port = order.order.port = ntohs(quiet.sin_port);
    on_loop(world, begin, &order);
    wait_until_done(&order, 1);
    own_port = 0;
    EXPECT_EQ(order.err, ERR_REFUSED);
    EXPECT_EQ(order.fd, -1);
    world_destroy(world);
}

ON_BOTH(only_what_is_permitted_is_connected_to)
{
    struct world *world = world_create(kind);
    struct order one = {
        .order = {.host = "several", .port = port_of(world), .timeout_ms = PATIENCE_MS},
        .permitted = "127.0.0.1",
    };
    struct order none = {
        .order = {.host = "several", .port = port_of(world), .timeout_ms = PATIENCE_MS},
        .permitted = "127.0.0.9",
    };
    struct order numeric = {
        .order = {.host = "127.0.0.1", .port = port_of(world), .timeout_ms = PATIENCE_MS},
        .permitted = "127.0.0.9",
    };

    on_loop(world, begin, &one);
    wait_until_done(&one, 1);
    EXPECT_EQ(one.err, OK);
    EXPECT_TEXT(bytes_of_text(one.asked), BYTES(" 127.0.0.3 127.0.0.2 127.0.0.1"));
    close(one.fd);
    EXPECT(comes_true(world, is_accepted));
    on_loop(world, begin, &none);
    wait_until_done(&none, 1);
    EXPECT_EQ(none.err, ERR_FORBIDDEN);
    on_loop(world, begin, &numeric);
    wait_until_done(&numeric, 1);
    EXPECT_EQ(numeric.err, ERR_FORBIDDEN);
    EXPECT_EQ(world->conn_count, 1); /* the others were not even tried */
    world_destroy(world);
}

/* A listener that takes no more connections: the kernel leaves who comes without an answer. */
struct deaf {
    int listener, waiting[64];
    int waiting_count;
    uint16_t port;
};

static bool is_connected_within(int fd, int ms)
{
    struct pollfd poll_fd = {.fd = fd, .events = POLLOUT};
    return poll(&poll_fd, 1, ms) == 1;
}

static void deaf_init(struct deaf *deaf)
{
    struct sockaddr_in address;
    bool is_full = false;

    *deaf = (struct deaf){.listener = bound_socket(INADDR_ANY, &address)};
    deaf->port = ntohs(address.sin_port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(listen(deaf->listener, 0), 0);
    while (!is_full && deaf->waiting_count < (int)COUNT_OF(deaf->waiting)) {
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        deaf->waiting[deaf->waiting_count++] = fd;
        (void)connect(fd, (struct sockaddr *)&address, sizeof address);
        is_full = !is_connected_within(fd, 100);
    }
    EXPECT(is_full);
}

static void deaf_fini(struct deaf *deaf)
{
    for (int i = 0; i < deaf->waiting_count; i++)
        close(deaf->waiting[i]);
    close(deaf->listener);
}

ON_BOTH(who_does_not_answer_in_time_is_given_up)
{
    struct world *world = world_create_with(kind, true);
    struct deaf deaf;
    struct order order = {.order = {.host = "127.0.0.1", .timeout_ms = 5000}};

    deaf_init(&deaf);
    order.order.port = deaf.port;
    on_loop(world, begin, &order);
    atomic_fetch_add(&world->fake.mono_ms, 4900);
    on_loop(world, do_nothing, NULL);
    on_loop(world, do_nothing, NULL);
    EXPECT_EQ(order.done_count, 0);
    atomic_fetch_add(&world->fake.mono_ms, 200);
    wait_until_done(&order, 1);
    EXPECT_EQ(order.err, ERR_TIMEOUT);
    deaf_fini(&deaf);
    world_destroy(world);
}

static void wait_until_asked(struct order *order, int count)
{
    for (int waited_ms = 0; waited_ms < PATIENCE_MS && order->asked_count < count; waited_ms++)
        sleep_ms(1);
    EXPECT_EQ(order->asked_count, count);
}

ON_BOTH(each_address_of_a_name_has_its_share_of_the_time)
{
    struct world *world = world_create_with(kind, true);
    struct deaf deaf;
    struct order order = {.order = {.host = "several", .timeout_ms = 9000}, .permitted = "all"};

    deaf_init(&deaf);
    order.order.port = deaf.port;
    on_loop(world, begin, &order);
    for (int count = 1; count <= 3; count++) {
        wait_until_asked(&order, count);
        atomic_fetch_add(&world->fake.mono_ms, 2900);
        on_loop(world, do_nothing, NULL);
        on_loop(world, do_nothing, NULL);
        EXPECT_EQ(order.asked_count, count);
        EXPECT_EQ(order.done_count, 0);
        atomic_fetch_add(&world->fake.mono_ms, 120);
    }
    wait_until_done(&order, 1);
    EXPECT_EQ(order.err, ERR_TIMEOUT);
    deaf_fini(&deaf);
    world_destroy(world);
}

ON_BOTH(who_cancels_is_told_nothing)
{
    struct world *world = world_create_with(kind, true);
    struct deaf deaf;
    struct order orders[] = {
        {.order = {.host = "127.0.0.1", .timeout_ms = 1000}}, /* no answer */
        {.order = {.host = "localhost", .timeout_ms = 1000}}, /* a name */
        {.order = {.host = "nobody", .timeout_ms = 1000}},
    };

    deaf_init(&deaf);
    for (size_t i = 0; i < COUNT_OF(orders); i++) {
        orders[i].order.port = deaf.port;
        on_loop(world, begin_and_cancel, &orders[i]);
    }
    atomic_fetch_add(&world->fake.mono_ms, 2000);
    on_loop(world, do_nothing, NULL);
    on_loop(world, do_nothing, NULL);
    sleep_ms(20);
    on_loop(world, do_nothing, NULL);
    for (size_t i = 0; i < COUNT_OF(orders); i++)
        EXPECT_EQ(orders[i].done_count, 0);
    deaf_fini(&deaf);
    world_destroy(world);
}

static void wait_for_slow_threads(int count)
{
    for (int waited_ms = 0; waited_ms < PATIENCE_MS && names.slow_count < count; waited_ms++)
        sleep_ms(1);
    EXPECT_EQ(names.slow_count, count);
}

ON_BOTH(who_asks_for_one_name_shares_a_thread_and_threads_are_bounded)
{
    enum { NAMES = RESOLVE_THREADS_MAX + 3 };
    struct world *world = world_create(kind);
    struct order orders[2 * NAMES] = {0};
    char hosts[NAMES][16];

    names.slow_count = 0;
    for (int i = 0; i < 2 * NAMES; i++) {
        snprintf(hosts[i % NAMES], sizeof hosts[0], "slow%d", i % NAMES);
        orders[i].order = (struct connect_order){
            .host = hosts[i % NAMES], .port = port_of(world), .timeout_ms = PATIENCE_MS};
        on_loop(world, begin, &orders[i]);
    }
    on_loop(world, cancel, &orders[0]);
    wait_for_slow_threads(RESOLVE_THREADS_MAX);
    sleep_ms(20);
    EXPECT_EQ(names.slow_count, RESOLVE_THREADS_MAX);
    for (int i = 0; i < NAMES; i++)
        sem_post(&names.may_go_on);
    for (int i = 1; i < 2 * NAMES; i++) {
        wait_until_done(&orders[i], 1);
        EXPECT_EQ(orders[i].err, OK);
        close(orders[i].fd);
    }
    EXPECT_EQ(names.slow_count, NAMES);
    EXPECT_EQ(orders[0].done_count, 0);
    world_destroy(world);
}

ON_BOTH(a_name_that_takes_too_long_is_given_up_and_its_thread_may_outlive_the_loop)
{
    struct world *world = world_create_with(kind, true);
    struct order orders[RESOLVE_THREADS_MAX + 1] = {0};
    char hosts[RESOLVE_THREADS_MAX + 1][16];

    names.slow_count = 0;
    for (int i = 0; i <= RESOLVE_THREADS_MAX; i++) { /* one more than there are threads */
        snprintf(hosts[i], sizeof hosts[0], "slow%d", i);
        orders[i].order =
            (struct connect_order){.host = hosts[i], .port = port_of(world), .timeout_ms = 1000};
        on_loop(world, begin, &orders[i]);
    }
    atomic_fetch_add(&world->fake.mono_ms, 1100);
    for (int i = 0; i <= RESOLVE_THREADS_MAX; i++) {
        wait_until_done(&orders[i], 1);
        EXPECT_EQ(orders[i].err, ERR_TIMEOUT);
    }
    wait_for_slow_threads(RESOLVE_THREADS_MAX);
    world_destroy(world);
    for (int i = 0; i < RESOLVE_THREADS_MAX; i++)
        sem_post(&names.may_go_on);
    sleep_ms(50); /* for a sanitizer to see what they do */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROWS(an_address_and_a_name_are_connected_to),
        ROWS(what_refuses_and_what_has_no_name_is_told),
        ROWS(a_connection_to_oneself_is_a_refusal),
        ROWS(only_what_is_permitted_is_connected_to),
        ROWS(who_does_not_answer_in_time_is_given_up),
        ROWS(each_address_of_a_name_has_its_share_of_the_time),
        ROWS(who_cancels_is_told_nothing),
        ROWS(who_asks_for_one_name_shares_a_thread_and_threads_are_bounded),
        ROWS(a_name_that_takes_too_long_is_given_up_and_its_thread_may_outlive_the_loop),
    };
    sem_init(&names.may_go_on, 0, 0);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
