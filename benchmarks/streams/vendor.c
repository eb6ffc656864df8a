/* The vendor: answers as they were ordered, and streams in time. */
#include "flood.h"

#include <stdarg.h>

enum { NAME = 64 };

struct peer {
    int fd;
    bool waits; /* for room in the socket */
    bool streams, counts;
    int said, wanted;
    int64_t due;
    struct text in, out;
    char model[NAME];
    struct peer *next;
};

/* All streams have one interval, so that whoever is served comes last again: a queue is sorted. */
static struct peer *first, **last = &first;

static void enqueue(struct peer *peer, int64_t due) {
    peer->due = due;
    peer->next = NULL;
    *last = peer;
    last = &peer->next;
}

static void send_out(struct peer *peer) {
    if (!peer->out.length || peer->fd < 0) return;
    ssize_t sent = send(peer->fd, peer->out.data, peer->out.length, 0);
    if (sent < 0 && errno != EAGAIN) return; /* reading tells of the end, too */
    if (sent > 0) take(&peer->out, sent);
    bool waits = peer->out.length > 0;
    if (waits != peer->waits) {
        peer->waits = waits;
        watch(EPOLL_CTL_MOD, peer->fd, EPOLLIN | (waits ? EPOLLOUT : 0), peer);
    }
}

static void say(struct peer *peer, const char *format, ...) {
    char line[1024];
    va_list given;
    va_start(given, format);
    add(&peer->out, line, vsnprintf(line, sizeof line, format, given));
    va_end(given);
}

static void say_event(struct peer *peer, const char *choices, const char *usage) {
    char event[1024];
    int length = snprintf(event, sizeof event,
                          "data: {\"id\":\"chatcmpl-flood\",\"object\":\"chat.completion.chunk\","
                          "\"created\":1700000000,\"model\":\"%s\",\"system_fingerprint\":\"fp_flood\","
                          "\"choices\":[%s]%s}\n\n",
                          peer->model, choices, usage);
    say(peer, "%x\r\n%s\r\n", length, event);
}

static void say_delta(struct peer *peer, const char *delta, const char *reason) {
    char choice[256];
    snprintf(choice, sizeof choice,
             "{\"index\":0,\"delta\":{%s},\"logprobs\":null,\"finish_reason\":%s}", delta, reason);
    say_event(peer, choice, "");
}

static void say_usage(const struct peer *peer, char *usage, size_t room) {
    snprintf(usage, room, ",\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":%d,\"total_tokens\":%d}",
             peer->wanted, peer->wanted + 9);
}

/* The next chunk, and the end behind the last one. */
static void speak(struct peer *peer) {
    char delta[NAME], usage[128];
    snprintf(delta, sizeof delta, "\"content\":\"%d:%lld;\"", peer->said++, (long long)now_us());
    say_delta(peer, delta, "null");
    if (peer->said == peer->wanted) {
        say_delta(peer, "", "\"stop\"");
        say_usage(peer, usage, sizeof usage);
        if (peer->counts) say_event(peer, "", usage);
        say(peer, "e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n");
        peer->streams = false;
    }
    send_out(peer);
}

static void say_whole(struct peer *peer) {
    char usage[128], body[1024];
    say_usage(peer, usage, sizeof usage);
    int length = snprintf(body, sizeof body,
                          "{\"id\":\"chatcmpl-flood\",\"object\":\"chat.completion\",\"created\":1700000000,"
                          "\"model\":\"%s\",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\","
                          "\"content\":\"0:%lld;\",\"refusal\":null},\"logprobs\":null,"
                          "\"finish_reason\":\"stop\"}]%s}",
                          peer->model, (long long)now_us(), usage);
    say(peer, "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s", length,
        body);
    send_out(peer);
}

static void answer(struct peer *peer, const char *body) {
    const char *model = strstr(body, "\"model\""), *count = strstr(body, "\"max_tokens\"");
    const char *stream = strstr(body, "\"stream\"");
    snprintf(peer->model, NAME, "gpt-4o");
    if (model) sscanf(model, "\"model\" : \"%63[^\"]", peer->model);
    peer->said = 0;
    peer->wanted = count ? atoi(count + strspn(count, "\"max_tokens: ")) : 1;
    if (peer->wanted < 1) peer->wanted = 1;
    if (!stream || strncmp(stream + 8 + strspn(stream + 8, ": "), "true", 4)) {
        say_whole(peer);
        return;
    }
    peer->counts = strstr(body, "\"include_usage\"");
    peer->streams = true;
    say(peer, "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n");
    say_delta(peer, "\"role\":\"assistant\",\"content\":\"\",\"refusal\":null", "null");
    speak(peer);
    while (peer->streams && !chosen.interval_us) speak(peer);
    if (peer->streams) enqueue(peer, now_us() + chosen.interval_us);
}

/* Answers each request that has come whole; one that comes during a stream waits for its end. */
static void understand(struct peer *peer) {
    char *body;
    while (!peer->streams && peer->in.length && (body = strstr(peer->in.data, "\r\n\r\n"))) {
        char *told = strcasestr(peer->in.data, "\ncontent-length:");
        size_t length = told && told < body ? strtoul(told + 16, NULL, 10) : 0;
        body += 4;
        if (peer->in.length - (body - peer->in.data) < length) return;
        char behind = body[length];
        body[length] = 0;
        answer(peer, body);
        body[length] = behind;
        take(&peer->in, body + length - peer->in.data);
    }
}

static void listen_to(struct peer *peer) {
    ssize_t got = recv(peer->fd, incoming, sizeof incoming, 0);
    if (got < 0 && errno == EAGAIN) return;
    if (got > 0) {
        add(&peer->in, incoming, got);
        understand(peer);
        return;
    }
    close(peer->fd);
    peer->fd = -1;
    free(peer->in.data);
    free(peer->out.data);
    peer->in = peer->out = (struct text){0};
    if (!peer->streams) free(peer); /* otherwise when its turn comes */
}

static void pace(void) {
    int64_t now = now_us();
    while (first && first->due <= now) {
        struct peer *peer = first;
        if (!(first = peer->next)) last = &first;
        if (peer->fd < 0) {
            free(peer);
            continue;
        }
        speak(peer);
        if (peer->streams) enqueue(peer, peer->due + chosen.interval_us);
        else understand(peer);
    }
    wake_at(first ? first->due : 0);
}

void vendor(void) {
    struct sockaddr_in address = here();
    int on = 1, listening = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    setsockopt(listening, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(listening, (void *)&address, sizeof address) || listen(listening, 4096)) die("listen");
    watch(EPOLL_CTL_ADD, listening, EPOLLIN, &listening);
    struct epoll_event input = {.events = EPOLLIN, .data.ptr = incoming};
    epoll_ctl(polled, EPOLL_CTL_ADD, 0, &input); /* a file or no input at all cannot be watched */
    printf("listening\n");
    fflush(stdout);
    int64_t end = now_us() + chosen.seconds * 1000000LL;
    while (now_us() < end) {
        struct epoll_event events[EVENTS];
        int count = epoll_wait(polled, events, EVENTS, 1000);
        for (int i = 0; i < count; i++) {
            struct peer *peer = events[i].data.ptr;
            if (events[i].data.ptr == incoming) {
                if (read(0, incoming, sizeof incoming) <= 0) return;
            } else if (events[i].data.ptr == &listening) {
                int fd = accept4(listening, NULL, NULL, SOCK_NONBLOCK);
                if (fd < 0) continue;
                hurry(fd);
                if (!(peer = calloc(1, sizeof *peer))) die("calloc");
                peer->fd = fd;
                watch(EPOLL_CTL_ADD, fd, EPOLLIN, peer);
            } else if (events[i].data.ptr != &alarmed) {
                if (events[i].events & EPOLLOUT) send_out(peer);
                if (events[i].events & ~EPOLLOUT) listen_to(peer);
            }
        }
        pace();
    }
}
