/* The mock upstream: an OpenAI-compatible server that costs next to nothing, so that what is measured is the gateway.
 *
 * One thread, epoll, HTTP/1.1 with keep-alive. It answers every POST with a fixed chat completion:
 *   JSON                        unless the body asks for a stream
 *   a burst of 53 events        with "stream": true (50 chunks, stop, usage, [DONE]; about 16 KB, one write)
 *   the same events, one by one with "stream": true and a model whose name ends in "-paced"
 * Every event is an HTTP chunk of its own, as real providers send them. Paced events keep a fixed schedule: a late
 * one does not delay those after it.
 *
 * Usage: upstream PORT [INTERVAL_MS]
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

enum {
    CHUNKS = 50,
    EVENTS = CHUNKS + 3,
    EVENT_ROOM = 512,
    BATCH = 512,
    READ_ROOM = 65536,
    BODY_LIMIT = 8 << 20,
    SCANNED = 4096, /* `model` and `stream` are looked for this far from either end of a body */
};

struct text {
    char *bytes;
    size_t size;
};

struct connection {
    int fd;
    char *in;
    size_t used, room;
    const char *out; /* what is left to write of a fixed answer */
    size_t left;
    int next_event; /* of a paced answer; 0 when there is none */
    int64_t due;
    struct connection *later; /* in the queue of paced answers */
    bool closed;
};

static struct text json_answer, burst_answer, paced_head, events[EVENTS];
static struct connection *queue_head, *queue_tail;
static int poller, timer, listener;
static int64_t interval_ns = 50 * 1000000LL;

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static struct text chunk(const char *payload)
{
    struct text made;
    made.bytes = malloc(EVENT_ROOM);
    made.size = (size_t)snprintf(made.bytes, EVENT_ROOM, "%zx\r\n%s\r\n", strlen(payload), payload);
    return made;
}

static struct text stream_event(const char *delta, const char *finish, const char *usage)
{
    char payload[EVENT_ROOM - 16], choices[160] = "";
    if (delta)
        snprintf(choices, sizeof choices, "{\"index\":0,\"delta\":%s,\"logprobs\":null,\"finish_reason\":%s}", delta, finish);
    snprintf(payload, sizeof payload,
             "data: {\"id\":\"chatcmpl-BenchBenchBenchBenchBenchBe\",\"object\":\"chat.completion.chunk\","
             "\"created\":1760000000,\"model\":\"bench-upstream\",\"service_tier\":\"default\","
             "\"system_fingerprint\":\"fp_bench00000\",\"choices\":[%s]%s}\n\n",
             choices, usage);
    return chunk(payload);
}

static void make_events(void)
{
    for (int i = 0; i < CHUNKS; i++)
        events[i] = stream_event("{\"content\":\" streamed\"}", "null", ",\"usage\":null");
    events[CHUNKS] = stream_event("{}", "\"stop\"", ",\"usage\":null");
    events[CHUNKS + 1] = stream_event(
        NULL, "null", ",\"usage\":{\"prompt_tokens\":280,\"completion_tokens\":50,\"total_tokens\":330}");
    events[CHUNKS + 2] = chunk("data: [DONE]\n\n");
    struct text *last = &events[EVENTS - 1];
    memcpy(last->bytes + last->size, "0\r\n\r\n", 5);
    last->size += 5;
}

static void make_answers(void)
{
    static const char stream_head[] =
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n"
        "x-request-id: req_bench\r\n\r\n";
    char body[2048], content[801];
    memset(content, 'a', 800);
    for (int i = 7; i < 800; i += 8)
        content[i] = ' ';
    content[800] = 0;
    int size = snprintf(
        body, sizeof body,
        "{\"id\":\"chatcmpl-BenchBenchBenchBenchBenchBe\",\"object\":\"chat.completion\",\"created\":1760000000,"
        "\"model\":\"bench-upstream\",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"%s\","
        "\"refusal\":null},\"logprobs\":null,\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":280,"
        "\"completion_tokens\":100,\"total_tokens\":380,\"prompt_tokens_details\":{\"cached_tokens\":0},"
        "\"completion_tokens_details\":{\"reasoning_tokens\":0}},\"system_fingerprint\":\"fp_bench00000\"}",
        content);
    json_answer.bytes = malloc(4096);
    json_answer.size = (size_t)snprintf(json_answer.bytes, 4096,
                                        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n"
                                        "x-request-id: req_bench\r\n\r\n%s",
                                        size, body);
    make_events();
    burst_answer.bytes = malloc(sizeof stream_head + EVENTS * EVENT_ROOM);
    char *end = mempcpy(burst_answer.bytes, stream_head, sizeof stream_head - 1);
    for (int i = 0; i < EVENTS; i++)
        end = mempcpy(end, events[i].bytes, events[i].size);
    burst_answer.size = (size_t)(end - burst_answer.bytes);
    paced_head.bytes = malloc(sizeof stream_head + EVENT_ROOM);
    end = mempcpy(paced_head.bytes, stream_head, sizeof stream_head - 1);
    end = mempcpy(end, events[0].bytes, events[0].size);
    paced_head.size = (size_t)(end - paced_head.bytes);
}

static void watch(struct connection *c, uint32_t what)
{
    struct epoll_event e = {.events = what, .data.ptr = c};
    if (epoll_ctl(poller, EPOLL_CTL_MOD, c->fd, &e))
        fail("epoll_ctl");
}

static void hang_up(struct connection *c)
{
    if (!c->closed)
        close(c->fd);
    c->closed = true;
    if (c->next_event) /* the queue still points here and frees it */
        return;
    free(c->in);
    free(c);
}

/* False when the connection is gone. */
static bool put(struct connection *c, const char *bytes, size_t size)
{
    ssize_t n = send(c->fd, bytes, size, MSG_NOSIGNAL);
    if (n < 0 && errno != EAGAIN)
        return false;
    if (n < 0)
        n = 0;
    c->out = bytes + n;
    c->left = size - (size_t)n;
    if (c->left)
        watch(c, EPOLLOUT);
    return true;
}

static void arm(void)
{
    struct itimerspec when = {0};
    if (queue_head) {
        when.it_value.tv_sec = queue_head->due / 1000000000LL;
        when.it_value.tv_nsec = queue_head->due % 1000000000LL;
    }
    timerfd_settime(timer, TFD_TIMER_ABSTIME, &when, NULL);
}

/* All waits are equally long, so appending keeps the queue in order of time. */
static void enqueue(struct connection *c, int64_t due)
{
    c->due = queue_tail && queue_tail->due > due ? queue_tail->due : due;
    c->later = NULL;
    if (queue_tail)
        queue_tail->later = c;
    else
        queue_head = c;
    queue_tail = c;
}

static bool holds(const char *bytes, size_t size, const char *needle)
{
    return memmem(bytes, size, needle, strlen(needle)) != NULL;
}

static bool mentions(const char *body, size_t size, const char *needle)
{
    if (size <= 2 * SCANNED)
        return holds(body, size, needle);
    return holds(body, SCANNED, needle) || holds(body + size - SCANNED, SCANNED, needle);
}

static bool answer(struct connection *c, const char *body, size_t size)
{
    if (!mentions(body, size, "\"stream\":true") && !mentions(body, size, "\"stream\": true"))
        return put(c, json_answer.bytes, json_answer.size);
    if (!mentions(body, size, "-paced\""))
        return put(c, burst_answer.bytes, burst_answer.size);
    bool idle = queue_head == NULL;
    c->next_event = 1;
    enqueue(c, now_ns() + interval_ns);
    if (idle)
        arm();
    return put(c, paced_head.bytes, paced_head.size);
}

/* The size of the first whole request in the buffer, 0 when more must come, -1 when it is none of ours. */
static ssize_t whole_request(struct connection *c, size_t *body_at)
{
    char *end = memmem(c->in, c->used, "\r\n\r\n", 4);
    if (!end)
        return 0;
    *body_at = (size_t)(end - c->in) + 4;
    *end = 0; /* strcasestr wants a string; undone below */
    char *length = strcasestr(c->in, "\ncontent-length:");
    bool chunked = strcasestr(c->in, "\ntransfer-encoding: chunked") != NULL;
    size_t body = length ? strtoul(length + 16, NULL, 10) : 0;
    *end = '\r';
    if (chunked)
        return c->used > *body_at + 4 && !memcmp(c->in + c->used - 5, "0\r\n\r\n", 5) ? (ssize_t)c->used : 0;
    if (body > BODY_LIMIT)
        return -1;
    return c->used - *body_at >= body ? (ssize_t)(*body_at + body) : 0;
}

/* Answers what is buffered; false when the connection is gone. */
static bool advance(struct connection *c)
{
    size_t body_at = 0;
    while (!c->left && !c->next_event && c->used) {
        ssize_t size = whole_request(c, &body_at);
        if (size < 0)
            return false;
        if (!size)
            return true;
        if (!answer(c, c->in + body_at, (size_t)size - body_at))
            return false;
        c->used -= (size_t)size;
        memmove(c->in, c->in + size, c->used);
    }
    return true;
}

static bool take(struct connection *c)
{
    for (;;) {
        if (c->room - c->used < READ_ROOM) {
            c->room += c->room + READ_ROOM;
            c->in = realloc(c->in, c->room);
        }
        size_t asked = c->room - c->used - 1;
        ssize_t n = recv(c->fd, c->in + c->used, asked, 0);
        if (n == 0 || (n < 0 && errno != EAGAIN))
            return false;
        if (n < 0)
            return true;
        c->used += (size_t)n;
        if (!advance(c))
            return false;
        if ((size_t)n < asked)
            return true;
    }
}

static bool drain(struct connection *c)
{
    if (!put(c, c->out, c->left))
        return false;
    if (c->left)
        return true;
    watch(c, EPOLLIN);
    return advance(c);
}

static void pace(void)
{
    uint64_t ticks;
    if (read(timer, &ticks, sizeof ticks) < 0 && errno != EAGAIN)
        fail("timerfd");
    int64_t now = now_ns();
    while (queue_head && queue_head->due <= now) {
        struct connection *c = queue_head;
        queue_head = c->later;
        if (!queue_head)
            queue_tail = NULL;
        struct text *event = &events[c->next_event];
        /* a client that does not read its stream would need buffering: it is cut off */
        bool alive = !c->closed && !c->left && put(c, event->bytes, event->size);
        bool more = alive && ++c->next_event < EVENTS;
        if (more) {
            enqueue(c, c->due + interval_ns);
            continue;
        }
        c->next_event = 0;
        if (!alive || !advance(c))
            hang_up(c);
    }
    arm();
}

static void welcome(void)
{
    int fd, on = 1;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        struct connection *c = calloc(1, sizeof *c);
        c->fd = fd;
        struct epoll_event e = {.events = EPOLLIN, .data.ptr = c};
        if (epoll_ctl(poller, EPOLL_CTL_ADD, fd, &e))
            fail("epoll_ctl");
    }
}

static int listen_on(int port)
{
    int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    struct sockaddr_in where = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, (struct sockaddr *)&where, sizeof where) || listen(fd, 4096))
        fail("listen");
    return fd;
}

static void serve(void)
{
    struct epoll_event ready[BATCH];
    for (;;) {
        int n = epoll_wait(poller, ready, BATCH, -1);
        bool due = false;
        for (int i = 0; i < n; i++) {
            struct connection *c = ready[i].data.ptr;
            if ((void *)c == &timer)
                due = true; /* after the sockets: it may free connections that are in this batch */
            else if ((void *)c == &listener)
                welcome();
            else if (!(ready[i].events & EPOLLOUT ? drain(c) : take(c)))
                hang_up(c);
        }
        if (due)
            pace();
    }
}

int main(int argc, char **argv)
{
    if (argc < 2)
        return fprintf(stderr, "usage: upstream PORT [INTERVAL_MS]\n"), 2;
    if (argc > 2)
        interval_ns = atoll(argv[2]) * 1000000LL;
    signal(SIGPIPE, SIG_IGN);
    make_answers();
    poller = epoll_create1(EPOLL_CLOEXEC);
    timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    listener = listen_on(atoi(argv[1]));
    struct epoll_event on_timer = {.events = EPOLLIN, .data.ptr = &timer};
    epoll_ctl(poller, EPOLL_CTL_ADD, timer, &on_timer);
    struct epoll_event on_accept = {.events = EPOLLIN, .data.ptr = &listener};
    epoll_ctl(poller, EPOLL_CTL_ADD, listener, &on_accept);
    serve();
}
