/* Reads many paced streams at once and measures what a reader sees: the time to the first event and between events.
 *
 * One thread, epoll. Each connection sends the same request over and over, one stream at a time; the first requests
 * are spread over RAMP_MS. An event is counted where its blank line ends, however the bytes were cut; events that arrive in
 * one read have no gap between them. A stream is complete when all EVENTS came, "[DONE]" was among them and the chunked
 * body ended. Prints one JSON object; times in milliseconds.
 *
 * Usage: streams PORT CONNECTIONS STREAMS_EACH EVENTS RAMP_MS DEADLINE_S REQUEST_FILE
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { BUCKETS = 6000000, BUCKET_US = 10, BATCH = 512, ROOM = 65536, STATUS_SIZE = 12 };

struct histogram { /* up to a minute */
    uint32_t *count;
    uint64_t total;
    uint32_t longest;
};

struct reader {
    int fd;
    int streams_left, events;
    int64_t asked, last; /* ns; `last` is 0 before the first event */
    char tail[8];        /* the end of the previous read: marks may be cut */
    char status[STATUS_SIZE];
    size_t status_size;
    bool done;
};

static struct histogram gaps, firsts;
static int64_t complete, failed, events_seen;
static int port, wanted_events, poller;
static char *request;
static size_t request_size;

static int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void note(struct histogram *h, int64_t ns)
{
    int64_t passed = ns / 1000 / BUCKET_US;
    uint32_t bucket = passed < BUCKETS - 1 ? (uint32_t)passed : BUCKETS - 1;
    h->count[bucket]++;
    h->total++;
    if (bucket > h->longest)
        h->longest = bucket;
}

static double milliseconds(uint32_t bucket)
{
    return (double)bucket * BUCKET_US / 1000;
}

static double quantile(const struct histogram *h, double q)
{
    uint64_t rank = (uint64_t)(q * (double)h->total), seen = 0;
    for (uint32_t bucket = 0; bucket < BUCKETS; bucket++)
        if ((seen += h->count[bucket]) > rank)
            return milliseconds(bucket);
    return milliseconds(h->longest);
}

static bool ask(struct reader *r)
{
    r->events = 0;
    r->last = 0;
    r->done = false;
    r->status_size = 0;
    memset(r->tail, 0, sizeof r->tail);
    r->asked = now_ns();
    return send(r->fd, request, request_size, MSG_NOSIGNAL) == (ssize_t)request_size;
}

static bool open_reader(struct reader *r)
{
    int on = 1;
    struct sockaddr_in where = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    r->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (r->fd < 0 || connect(r->fd, (struct sockaddr *)&where, sizeof where))
        return false;
    setsockopt(r->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = r};
    return !epoll_ctl(poller, EPOLL_CTL_ADD, r->fd, &e) && ask(r);
}

static void count_event(struct reader *r, int64_t now)
{
    if (r->last)
        note(&gaps, now - r->last);
    else
        note(&firsts, now - r->asked);
    r->last = now;
    r->events++;
    events_seen++;
}

/* Counts blank lines and looks for the two marks of the end; true when the answer is over. `bytes` starts with the
 * previous read's last `carried` bytes. */
static bool scan(struct reader *r, const char *bytes, size_t size, size_t carried)
{
    int64_t now = now_ns();
    size_t from = carried ? carried : 1;
    for (size_t i = from; i < size; i++) {
        const char *next = memchr(bytes + i, '\n', size - i);
        if (!next)
            break;
        i = (size_t)(next - bytes);
        if (bytes[i - 1] == '\n')
            count_event(r, now);
    }
    r->done = r->done || memmem(bytes, size, "[DONE]", 6);
    return r->done && size >= 5 && !memcmp(bytes + size - 5, "0\r\n\r\n", 5);
}

static void take_status(struct reader *r, const char *bytes, size_t size)
{
    while (r->status_size < STATUS_SIZE && size--)
        r->status[r->status_size++] = *bytes++;
}

static void give_up(struct reader *r)
{
    failed += r->streams_left;
    r->streams_left = 0;
    close(r->fd);
}

static void next_stream(struct reader *r)
{
    bool whole = r->events >= wanted_events && !memcmp(r->status + 8, " 200", 4);
    complete += whole;
    failed += !whole;
    r->streams_left--;
    if (!r->streams_left)
        close(r->fd);
    else if (!ask(r))
        give_up(r);
}

static void take(struct reader *r)
{
    static char room[sizeof r->tail + ROOM];
    size_t carried = r->status_size ? sizeof r->tail : 0;
    memcpy(room, r->tail, carried);
    ssize_t n = recv(r->fd, room + carried, ROOM, 0);
    if (n <= 0) {
        give_up(r);
        return;
    }
    size_t size = carried + (size_t)n;
    take_status(r, room + carried, (size_t)n);
    bool over = scan(r, room, size, carried);
    size_t kept = size < sizeof r->tail ? size : sizeof r->tail;
    memset(r->tail, 0, sizeof r->tail);
    memcpy(r->tail + sizeof r->tail - kept, room + size - kept, kept);
    if (over)
        next_stream(r);
}

static int64_t unfinished(const struct reader *all, int connections)
{
    int64_t left = 0;
    for (int i = 0; i < connections; i++)
        left += all[i].streams_left;
    return left;
}

static void run(struct reader *all, int connections, int64_t ramp_ns, int64_t deadline)
{
    struct epoll_event ready[BATCH];
    int opened = 0;
    int64_t start = now_ns(), total = unfinished(all, connections);
    while (complete + failed < total && now_ns() < deadline) {
        int64_t passed = now_ns() - start;
        while (opened < connections && passed >= ramp_ns * opened / connections) {
            if (!open_reader(&all[opened]))
                give_up(&all[opened]);
            opened++;
        }
        int n = epoll_wait(poller, ready, BATCH, opened < connections ? 1 : 100);
        for (int i = 0; i < n; i++)
            take(ready[i].data.ptr);
    }
    failed += total - complete - failed;
    double seconds = (double)(now_ns() - start) / 1e9;
    printf("{\"streams\": %lld, \"failed\": %lld, \"events\": %lld, \"seconds\": %.3f, "
           "\"gap_p50\": %.3f, \"gap_p99\": %.3f, \"gap_max\": %.3f, "
           "\"first_p50\": %.3f, \"first_p99\": %.3f, \"first_max\": %.3f}\n",
           (long long)complete, (long long)failed, (long long)events_seen, seconds, quantile(&gaps, 0.5),
           quantile(&gaps, 0.99), milliseconds(gaps.longest), quantile(&firsts, 0.5), quantile(&firsts, 0.99),
           milliseconds(firsts.longest));
}

static void read_request(const char *path)
{
    FILE *file = fopen(path, "r");
    request = malloc(1 << 20);
    request_size = file ? fread(request, 1, 1 << 20, file) : 0;
    if (!request_size) {
        perror(path);
        exit(1);
    }
    fclose(file);
}

int main(int argc, char **argv)
{
    if (argc != 8)
        return fprintf(stderr, "usage: streams PORT CONNECTIONS STREAMS_EACH EVENTS RAMP_MS DEADLINE_S FILE\n"), 2;
    port = atoi(argv[1]);
    int connections = atoi(argv[2]);
    wanted_events = atoi(argv[4]);
    read_request(argv[7]);
    gaps.count = calloc(BUCKETS, sizeof *gaps.count);
    firsts.count = calloc(BUCKETS, sizeof *firsts.count);
    poller = epoll_create1(EPOLL_CLOEXEC);
    struct reader *all = calloc((size_t)connections, sizeof *all);
    for (int i = 0; i < connections; i++)
        all[i].streams_left = atoi(argv[3]);
    run(all, connections, atoll(argv[5]) * 1000000LL, now_ns() + atoll(argv[6]) * 1000000000LL);
    return 0;
}
