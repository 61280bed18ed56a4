/* front_call.h — one exchange that a front has in hand; what front.c and shaped.c share. */
#pragma once
#include "changes.h"
#include "front.h"
#include "journal.h"
#include "rules_set.h"

struct front {
    uint64_t seed;
    pthread_mutex_t set_lock; /* of the next one */
    struct rules_set *set;    /* in force for what comes from here on */
    _Atomic uint64_t set_number;
    const struct exchange_engine *next;
    struct journal *journal; /* or null */
    struct bytes cors_lines, admin_token;
    pthread_mutex_t workers_lock;
    struct list workers;
};

struct front_worker {
    struct front *front;
    void *next_engine;
    struct loop *loop;
    struct counters *counters;
    struct rules_set *set; /* held, as of `set_number` */
    uint64_t set_number;
    struct list in_front;
    struct changes_inbox inbox;
};

enum front_stage {
    FRONT_COLLECTING, /* the request's body */
    FRONT_WAITING,    /* the latency has not passed */
    FRONT_HANGING,
    FRONT_ANSWERING, /* with what a rule says */
    FRONT_STREAMING, /* a rule's events */
    FRONT_LISTENING, /* to the writes of a collection */
    FRONT_SOCKET,    /* a WebSocket is open */
    FRONT_PASSING,   /* the next engine has `inner` */
};

struct front_call {
    struct exchange inner; /* as the next engine sees it */
    struct exchange *x;
    struct front_worker *worker;
    enum front_stage stage;
    struct timer timer; /* of the latency, a hang, and then of the bandwidth */
    struct buffer body; /* of the request */
    struct request_view view;
    struct path_values path_values;
    struct rules_set *set; /* held: the rules that it began with */
    int rule;              /* its place, or -1 */
    const struct shape *shape;
    const struct fault *fault; /* or null */
    struct random_source random;
    struct buffer added_lines;   /* field lines of the answer that the next engine does not know of */
    struct buffer lines, answer; /* of a rule: field lines and body */
    size_t answer_sent;
    struct list in_listeners;
    bool is_listening;
    struct front_socket *socket; /* or null */
    uint64_t journal_number;     /* the request's; 0: it is not there */
    size_t step;                 /* of a rule's events: the next one */
    /* Of shaping. */
    int64_t began_ms;     /* when the answer's first byte was sent; 0: not yet */
    uint64_t body_passed; /* bytes of body */
    uint64_t body_cut;    /* where the body is cut off */
    bool is_admin;        /* asked for what is below /__admin/ */
    bool is_cut;          /* it is, if the fault that struck is of the body */
    bool waits_for_room;  /* whoever answers was told that there is none */
    bool body_was_read;   /* the next engine has had the request's body */
    bool *is_gone;        /* set when the call is destroyed, if somebody wants to know */
};

/* The rule of a call that has one. */
static inline const struct rule *front_rule(const struct front_call *call)
{
    return &call->set->rules.rules[call->rule];
}

/* Writes the request into the journal, before its client can know that it was answered with `status`; 0: it
 * will not be. */
void front_note(struct front_call *call, int status);

/* Ends the call's life; the exchange is ended by the caller afterwards. */
void front_call_destroy(struct front_call *call);

/* The same, seen by the next engine: what `inner` is an exchange of. */
extern const struct exchange_client shaped_client;

/* Sends a head, pieces of a body, and the end, as the shape of the call wants them. */
void shaped_respond(struct front_call *call, const struct http_response *response);
void shaped_send(struct front_call *call, struct bytes bytes);
size_t shaped_room(struct front_call *call);
void shaped_end(struct front_call *call); /* the call is gone afterwards */

/* There is room again: goes on with whoever waits for it. */
void shaped_go_on(struct front_call *call);

/* Sends the head of an event stream. False if it has no body: the call is gone. */
bool front_events_respond(struct front_call *call);

/* Begins a rule's events; sends the one whose time has come. The call may be gone afterwards. */
void front_stream_begin(struct front_call *call);
void front_stream_step(struct front_call *call);

/* Begins to send a collection's writes; puts the call among those that hear of them; ends that; the time
 * for a comment has come. */
void front_listen_begin(struct front_call *call);
void front_listen(struct front_call *call);
void front_listen_end(struct front_call *call);
void front_listen_quiet(struct front_call *call);
void front_changes_arrived(struct task *task);

/* Begins a rule's WebSocket, or answers why not; goes on with it; takes what came, or that no more will;
 * says a write; says that some were missed. The call may be gone after each. */
void front_socket_begin(struct front_call *call);
void front_socket_go_on(struct front_call *call);
void front_socket_received(struct front_call *call, struct bytes bytes);
void front_socket_ended(struct front_call *call);
void front_socket_tell(struct front_call *call, const struct change_note *note);
void front_socket_miss(struct front_call *call);
/* Frees what is its own, if there is one. */
void front_socket_end(struct front_call *call);

/* Answers with a problem document; `detail` is plain text. The call may be gone afterwards. */
void front_answer_problem(struct front_call *call, int status, const char *detail);

/* What templates of the call's rule are made with. */
struct template_facts front_facts(struct front_call *call);

/* Sends what is left of a rule's answer, and ends it. The call may be gone afterwards. */
void front_send_answer(struct front_call *call);

/* Breaks the answer off; the call is gone afterwards. */
void front_break_off(struct front_call *call, enum exchange_breakage how);
