// Three kinds of task a connection: one that reads and starts requests, one a request, one that writes replies. They
// meet in `slots_`, all on the node's run queue; connection.h has the rules they keep.
#include "broker/server/connection.h"

#include <fmt/format.h>

#include <utility>

namespace ordeal::server {

Connection::Connection(Services& services, std::unique_ptr<env::Stream> stream, std::string listener,
                       ConnectionLimits limits)
    : services_(services),
      stream_(std::move(stream)),
      listener_(std::move(listener)),
      limits_(limits),
      frames_(limits.frame_max),
      gate_(services.env.scheduler),
      changed_(services.env.scheduler),
      last_activity_(services.env.scheduler.now()) {}

void Connection::drain() { draining_ = true; }

void Connection::close() {
  if (closed_) return;
  closed_ = true;
  stream_->close();
  changed_.notify_all();
}

// Ends that clients bring about every day are not worth a line.
void Connection::report(const Error& error) {
  if (error.code != Errc::corrupt && error.code != Errc::unsupported) return;
  const std::string peer = stream_->peer().to_string();
  services_.env.trace.warn("connection.refused", {{"listener", std::string_view(listener_)},
                                                  {"peer", std::string_view(peer)},
                                                  {"error", std::string_view(error.text)}});
}

void Connection::watch_idleness() {
  idle_timer_ = services_.env.scheduler.call_at(last_activity_ + limits_.idle_max, [this] {
    const bool quiet = slots_.empty() && services_.env.scheduler.now() - last_activity_ >= limits_.idle_max;
    if (closed_) return;
    if (quiet) return close();
    if (!slots_.empty()) last_activity_ = services_.env.scheduler.now();
    watch_idleness();
  });
}

env::Task<> Connection::run() {
  gate_.spawn(write_loop(), "connection.write");
  watch_idleness();
  const Error why = co_await read_loop();
  report(why);
  close();
  services_.env.scheduler.cancel(idle_timer_);
  co_await gate_.close();
}

env::Task<Error> Connection::read_loop() {
  while (!closed_) {
    const MutableByteView space = frames_.space();
    const Result<std::size_t> count = co_await stream_->read_some(space);
    if (!count) co_return count.error();
    last_activity_ = services_.env.scheduler.now();
    frames_.commit(*count);
    while (!closed_) {
      Result<std::optional<Slice>> frame = frames_.next();
      if (!frame) co_return frame.error();
      if (!*frame) break;
      const Status started = co_await start_request(std::move(**frame));
      if (!started) co_return started.error();
    }
  }
  co_return Error{Errc::closed, "closed"};
}

env::Task<Status> Connection::start_request(Slice frame) {
  Result<wire::DecodedHeader> decoded = wire::decode_request_header(frame);
  if (!decoded) co_return fail(decoded.error());
  if (decoded->api == nullptr) {
    co_return fail(Errc::unsupported, fmt::format("api key {}", decoded->header.api_key));
  }
  while (slots_.size() >= limits_.in_flight_max && !closed_) {
    const bool woken = co_await changed_.wait();
    (void)woken;
  }
  if (closed_ || draining_) co_return fail(Errc::closed, "closing");
  Request request{std::move(decoded->header), decoded->api, std::move(decoded->body), listener_, stream_->peer()};
  auto slot = std::make_shared<Slot>();
  slots_.push_back(slot);
  const std::uint64_t before = started_;
  gate_.spawn(handle(std::move(slot), std::move(request)), "connection.handle");
  // The handler announces itself and then runs on to its first wait; this task only resumes after that, because
  // everything here is on one run queue. By then an append is in the log.
  while (started_ == before && !closed_) {
    const bool woken = co_await changed_.wait();
    (void)woken;
  }
  co_return Status{};
}

env::Task<> Connection::handle(std::shared_ptr<Slot> slot, Request request) {
  ++started_;
  changed_.notify_all();
  Reply reply = co_await dispatch(services_, std::move(request));
  slot->reply.emplace(std::move(reply));
  changed_.notify_all();
}

env::Task<> Connection::write_loop() {
  while (!closed_) {
    std::vector<Bytes> frames;
    std::optional<Error> fatal;
    std::size_t answered = 0;
    for (; answered < slots_.size() && slots_[answered]->reply && !fatal; ++answered) {
      Reply& reply = *slots_[answered]->reply;
      if (!reply) {
        fatal = reply.error();
      } else if (*reply) {
        frames.push_back(std::move(**reply));
      }
    }
    if (answered == 0) {
      const bool woken = co_await changed_.wait();
      (void)woken;
      continue;
    }
    if (!frames.empty()) {
      const std::vector<ByteView> parts(frames.begin(), frames.end());
      const Status written = co_await stream_->write(parts);
      if (!written) break;
    }
    slots_.erase(slots_.begin(), slots_.begin() + static_cast<std::ptrdiff_t>(answered));
    last_activity_ = services_.env.scheduler.now();
    changed_.notify_all();
    if (fatal) {
      report(*fatal);
      break;
    }
  }
  close();
}

}  // namespace ordeal::server
