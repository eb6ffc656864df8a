/* The client: opens the streams, and holds each to what it should be. */
#include "flood.h"

enum { TOLD = 200 };

enum fault { NONE, NO_CONNECTION, STATUS, NOT_A_STREAM, CUT, LOST, ERROR_EVENT, NO_END, LATE, FAULTS };
static const char *const faults[FAULTS] = {"none",  "no_connection", "status", "not_a_stream", "cut",
                                           "lost",  "error_event",   "no_end", "late"};

struct stream {
    int fd; /* -1: not yet, or no more */
    bool ended, in_body, in_chunk, finished, counted, done;
    int next; /* the number that the next chunk must have */
    long left; /* of the chunk of the transfer */
    int64_t asked;
    struct text in, line;
};

static struct {
    uint32_t *delays, *firsts; /* µs */
    long delayed, room;
    long received;
    int answered, over, failed[FAULTS], statuses[600];
    char said[TOLD]; /* by the first that failed */
} found;

static int64_t opened_at, closed_at; /* between them, delays are kept */
static struct text request;
static struct stream *streams;

static void tell(const char *what) {
    printf("{\"%s\":true}\n", what);
    fflush(stdout);
}

static void fail_or_end(struct stream *stream, enum fault fault) {
    if (stream->ended) return;
    if (fault == NONE && (!stream->done || !stream->finished || !stream->counted)) fault = NO_END;
    if (fault == NONE && stream->next != chosen.chunks) fault = LOST;
    if (fault != NONE && !found.said[0]) {
        struct text *told = stream->line.length ? &stream->line : &stream->in;
        snprintf(found.said, TOLD, "%s", told->length ? told->data : "nothing");
        for (char *at = found.said; *at; at++)
            if (*at == '"' || *at == '\\' || *at < ' ') *at = '\'';
    }
    found.failed[fault]++;
    found.over++;
    stream->ended = true;
    if (stream->fd >= 0) close(stream->fd);
    stream->fd = -1;
}

static void keep_delay(int64_t now, int64_t made) {
    if (now < opened_at || now >= closed_at) return;
    if (found.delayed == found.room) {
        found.room = found.room * 2 + 65536;
        found.delays = realloc(found.delays, found.room * sizeof *found.delays);
        if (!found.delays) die("realloc");
    }
    found.delays[found.delayed++] = now - made;
}

/* What stands behind a field's name, or nothing: good enough for what a vendor of ours says. */
static const char *value(const char *line, const char *field) {
    const char *at = strstr(line, field);
    return at ? at + strlen(field) + strspn(at + strlen(field), ": ") : "";
}

/* One event; whether it is one that there should be. */
static bool hear(struct stream *stream, const char *line) {
    int number;
    long long made;
    if (!strcmp(line, "data: [DONE]")) return stream->done = true;
    if (!strncmp(value(line, "\"finish_reason\""), "\"stop\"", 6)) stream->finished = true;
    if (*value(line, "\"usage\"") == '{') stream->counted = true;
    if (sscanf(value(line, "\"content\""), "\"%d:%lld;", &number, &made) != 2)
        return !strstr(line, "\"error\"");
    int64_t now = now_us();
    if (number != stream->next) {
        fail_or_end(stream, LOST);
        return true;
    }
    keep_delay(now, made);
    stream->next++;
    found.received++;
    if (number == 0) found.firsts[found.answered++] = now - stream->asked;
    return true;
}

static void read_lines(struct stream *stream, const char *data, size_t length) {
    add(&stream->line, data, length);
    size_t begin = 0;
    char *end;
    while (!stream->ended && (end = strchr(stream->line.data + begin, '\n'))) {
        *end = 0;
        if (!hear(stream, stream->line.data + begin)) {
            fail_or_end(stream, ERROR_EVENT);
            return;
        }
        begin = end + 1 - stream->line.data;
    }
    take(&stream->line, begin);
}

static bool read_head(struct stream *stream) {
    char *end = strstr(stream->in.data, "\r\n\r\n");
    if (!end) return false;
    int status = 0;
    sscanf(stream->in.data, "HTTP/1.1 %d", &status);
    if (status != 200) {
        if (status > 0 && status < 600) found.statuses[status]++;
        fail_or_end(stream, STATUS);
        return false;
    }
    if (!strcasestr(stream->in.data, "transfer-encoding: chunked")) {
        fail_or_end(stream, NOT_A_STREAM);
        return false;
    }
    take(&stream->in, end + 4 - stream->in.data);
    return stream->in_body = true;
}

/* Takes the transfer's chunks apart: size, data, end of line. */
static void read_body(struct stream *stream) {
    struct text *in = &stream->in;
    size_t at = 0;
    while (!stream->ended && at < in->length) {
        if (stream->in_chunk) {
            size_t here_now = in->length - at;
            if ((long)here_now > stream->left) here_now = stream->left;
            read_lines(stream, in->data + at, here_now);
            at += here_now;
            stream->left -= here_now;
            if (stream->left) break;
            stream->in_chunk = false;
            stream->left = 2;
        }
        for (; stream->left && at < in->length; stream->left--) at++;
        char *end = stream->left ? NULL : strstr(in->data + at, "\r\n");
        if (!end) break;
        stream->left = strtol(in->data + at, NULL, 16);
        stream->in_chunk = true;
        at = end + 2 - in->data;
        if (!stream->left) fail_or_end(stream, NONE);
    }
    take(in, at);
}

static void receive(struct stream *stream) {
    ssize_t got = recv(stream->fd, incoming, sizeof incoming, 0);
    if (got < 0 && errno == EAGAIN) return;
    if (got <= 0) {
        fail_or_end(stream, stream->asked ? CUT : NO_CONNECTION);
        return;
    }
    add(&stream->in, incoming, got);
    if (stream->in_body || read_head(stream)) read_body(stream);
}

static void ask(struct stream *stream) {
    int error = 0;
    socklen_t length = sizeof error;
    getsockopt(stream->fd, SOL_SOCKET, SO_ERROR, &error, &length);
    if (error || send(stream->fd, request.data, request.length, 0) != (ssize_t)request.length) {
        fail_or_end(stream, NO_CONNECTION);
        return;
    }
    stream->asked = now_us();
    watch(EPOLL_CTL_MOD, stream->fd, EPOLLIN, stream);
}

static void open_stream(struct stream *stream) {
    struct sockaddr_in address = here();
    stream->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (stream->fd < 0) die("socket");
    hurry(stream->fd);
    if (connect(stream->fd, (void *)&address, sizeof address) && errno != EINPROGRESS)
        fail_or_end(stream, NO_CONNECTION);
    else
        watch(EPOLL_CTL_ADD, stream->fd, EPOLLIN | EPOLLOUT, stream);
}

static void write_request(void) {
    char key[1024] = "", head[2048], body[512];
    FILE *file = chosen.key_file ? fopen(chosen.key_file, "r") : NULL;
    if (chosen.key_file && (!file || fscanf(file, "%1023s", key) != 1)) die(chosen.key_file);
    if (file) fclose(file);
    int length = snprintf(body, sizeof body,
                          "{\"model\":\"%s\",\"stream\":true,\"stream_options\":{\"include_usage\":true},"
                          "\"max_tokens\":%d,\"messages\":[{\"role\":\"user\",\"content\":\"Go on.\"}]}",
                          chosen.model, chosen.chunks);
    int before = snprintf(head, sizeof head,
                          "POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\n%s%s%s"
                          "content-type: application/json\r\ncontent-length: %d\r\n\r\n",
                          *key ? "authorization: Bearer " : "", key, *key ? "\r\n" : "", length);
    add(&request, head, before);
    add(&request, body, length);
}

static int by_size(const void *one, const void *other) {
    uint32_t a = *(const uint32_t *)one, b = *(const uint32_t *)other;
    return (a > b) - (a < b);
}

/* The least value that a share of all does not exceed ("nearest rank"). */
static void print_ranks(const char *name, uint32_t *values, long count) {
    static const struct {
        const char *name;
        int thousandths;
    } ranks[] = {{"p50", 500}, {"p95", 950}, {"p99", 990}, {"p999", 999}, {"max", 1000}};
    printf("\"%s\":{\"count\":%ld", name, count);
    if (count) qsort(values, count, sizeof *values, by_size);
    for (int i = 0; count && i < 5; i++)
        printf(",\"%s\":%u", ranks[i].name, values[(count * ranks[i].thousandths + 999) / 1000 - 1]);
    printf("},");
}

static void report(int64_t began) {
    const char *comma = "";
    printf("{\"streams\":{\"asked\":%d,\"ok\":%d,\"failed\":{", chosen.streams, found.failed[NONE]);
    for (int fault = 1; fault < FAULTS; fault++) {
        if (!found.failed[fault] || fault == STATUS) continue;
        printf("%s\"%s\":%d", comma, faults[fault], found.failed[fault]);
        comma = ",";
    }
    for (int status = 0; status < 600; status++) {
        if (!found.statuses[status]) continue;
        printf("%s\"status_%d\":%d", comma, status, found.statuses[status]);
        comma = ",";
    }
    printf("}},\"chunks\":{\"wanted\":%ld,\"received\":%ld},", (long)chosen.streams * chosen.chunks,
           found.received);
    print_ranks("delay_us", found.delays, found.delayed);
    print_ranks("first_us", found.firsts, found.answered);
    printf("\"seconds\":%.3f,\"said\":\"%s\"}\n", (now_us() - began) / 1e6, found.said);
}

void client(void) {
    write_request();
    streams = calloc(chosen.streams, sizeof *streams);
    found.firsts = calloc(chosen.streams, sizeof *found.firsts);
    if (!streams || !found.firsts) die("calloc");
    int64_t began = now_us(), end = began + chosen.seconds * 1000000LL;
    int opened = 0, told = 0;
    opened_at = began + chosen.ramp_ms * 1000LL;
    closed_at = opened_at + chosen.steady_ms * 1000LL;
    while (found.over < chosen.streams) {
        /* Steps of the golden ratio, so that the streams' chunks do not fall together. */
        double slot = chosen.ramp_ms * 1000.0 / chosen.streams, part = opened * 0.6180339887;
        int64_t due = began + (int64_t)((opened + part - (int64_t)part) * slot);
        if (opened < chosen.streams && due <= now_us()) {
            open_stream(&streams[opened++]);
            continue;
        }
        if (told == 0 && now_us() >= opened_at && ++told) tell("open");
        if (told == 1 && now_us() >= closed_at && ++told) tell("ended");
        int64_t next = told == 0 ? opened_at : told == 1 ? closed_at : end;
        if (next > end) next = end;
        wake_at(opened < chosen.streams && due < next ? due : next);
        struct epoll_event events[EVENTS];
        int count = epoll_wait(polled, events, EVENTS, 1000);
        for (int i = 0; i < count; i++) {
            struct stream *stream = events[i].data.ptr;
            if (events[i].data.ptr == &alarmed || stream->ended) continue;
            if (!stream->asked) ask(stream);
            else receive(stream);
        }
        if (now_us() < end) continue;
        for (int i = 0; i < chosen.streams; i++) fail_or_end(&streams[i], LATE);
        break;
    }
    if (told < 1) tell("open"); /* nothing was left to wait for */
    if (told < 2) tell("ended");
    report(began);
}
