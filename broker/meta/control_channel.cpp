// Framing, and the outgoing side of the control channel.
#include "broker/meta/control_channel.h"

#include "broker/base/bytes.h"
#include "broker/meta/control_codec.h"

namespace ordeal::meta {

// ---- one connection ----

bool FramedStream::send(std::string frame) {
  if (closed_ || queue_bytes_ + frame.size() > kQueueBytesMax) return false;
  queue_bytes_ += frame.size();
  queue_.push_back(std::move(frame));
  queued_.notify_all();
  return true;
}

void FramedStream::close() {
  if (closed_) return;
  closed_ = true;
  stream_->close();
  queued_.notify_all();
}

env::Task<Result<Envelope>> FramedStream::read() {
  std::array<std::uint8_t, 4> header{};
  Status status = co_await stream_->read_exact(header);
  if (!status) co_return fail(std::move(status.error()));
  const auto size = load_be<std::uint32_t>(header.data());
  if (size > kFrameBytesMax) co_return fail(Errc::corrupt, fmt::format("a control frame of {} bytes", size));
  Bytes body(size);
  status = co_await stream_->read_exact(body);
  if (!status) co_return fail(std::move(status.error()));
  Envelope envelope;
  if (!envelope.ParseFromArray(body.data(), static_cast<int>(body.size())))
    co_return fail(Errc::corrupt, "a control frame that does not parse");
  co_return envelope;
}

env::Task<> FramedStream::write_loop(std::shared_ptr<FramedStream> self) {
  while (!self->closed_) {
    if (self->queue_.empty()) {
      co_await self->queued_.wait();
      continue;
    }
    const std::deque<std::string> batch = std::exchange(self->queue_, {});
    self->queue_bytes_ = 0;
    std::vector<ByteView> parts;
    for (const std::string& frame : batch) parts.push_back(as_bytes(frame));
    const Status written = co_await self->stream_->write(parts);
    if (!written) self->close();
  }
}

// ---- the outgoing side ----

PeerChannel::PeerChannel(env::Env& env, env::Gate& gate, ChannelConfig config, NodeId peer, Endpoint endpoint,
                         ControlEvents& events)
    : env_(env),
      gate_(gate),
      config_(std::move(config)),
      peer_(peer),
      endpoint_(std::move(endpoint)),
      events_(events) {}

void PeerChannel::start() { gate_.spawn(run(), "meta.channel"); }

void PeerChannel::stop() {
  stopped_ = true;
  if (stream_) stream_->close();
  fail_pending({Errc::closed, "the node is stopping"});
}

void PeerChannel::address(Envelope& envelope, std::uint64_t correlation) const {
  envelope.set_from(config_.self);
  envelope.set_to(peer_);
  envelope.set_cluster_id(config_.cluster_id);
  envelope.set_correlation(correlation);
}

void PeerChannel::send_raft(Envelope envelope) {
  if (!connected()) return;
  address(envelope, 0);
  (void)stream_->send(encode_frame(envelope));
}

env::Task<Result<ControllerResponse>> PeerChannel::call(ControllerRequest request, Instant deadline) {
  if (!connected()) co_return fail(Errc::unreachable, fmt::format("node {} is not connected", peer_));
  const std::uint64_t correlation = next_correlation_++;
  Envelope envelope;
  address(envelope, correlation);
  envelope.set_api(api_name(request));
  *envelope.mutable_request() = std::move(request);
  auto reply = std::make_shared<Reply>(env_.scheduler);
  pending_.emplace(correlation, reply);
  if (!stream_->send(encode_frame(envelope))) reply->set(fail(Errc::unreachable, "the connection is full or closed"));
  std::optional<Result<ControllerResponse>> answer = co_await reply->wait(deadline);
  pending_.erase(correlation);
  if (!answer) co_return fail(Errc::timed_out, fmt::format("node {} did not answer", peer_));
  co_return std::move(*answer);
}

void PeerChannel::fail_pending(const Error& error) {
  for (const auto& [correlation, reply] : pending_) reply->set(fail(error));
}

env::Task<> PeerChannel::run() {
  Duration backoff = config_.backoff_min;
  while (!stopped_ && !gate_.closing()) {
    const Instant deadline = env_.scheduler.now() + config_.connect_timeout;
    auto connected_stream = co_await env_.network.connect(endpoint_, deadline);
    if (stopped_) co_return;
    if (!connected_stream) {
      if (connected_stream.error().code == Errc::refused) events_.on_lost(peer_);
      const bool go_on = co_await gate_.sleep_for(backoff);
      if (!go_on) co_return;
      backoff = std::min(2 * backoff, config_.backoff_max);
      continue;
    }
    backoff = config_.backoff_min;
    auto stream = std::make_shared<FramedStream>(env_.scheduler, std::move(*connected_stream));
    stream->last_read = env_.scheduler.now();
    stream_ = stream;
    gate_.spawn(FramedStream::write_loop(stream), "meta.channel.write");
    gate_.spawn(ping_loop(stream), "meta.channel.ping");
    events_.on_connected(peer_);
    const Error error = co_await read_loop(stream);
    const bool ours = stream->closed();  // by stop() or for silence: says nothing about the peer
    stream->close();
    stream_.reset();
    fail_pending({Errc::unreachable, fmt::format("connection to node {}: {}", peer_, error.text)});
    if (stopped_) co_return;
    if (!ours) events_.on_lost(peer_);
    const bool go_on = co_await gate_.sleep_for(backoff);
    if (!go_on) co_return;
  }
}

env::Task<> PeerChannel::ping_loop(std::shared_ptr<FramedStream> stream) {
  while (!stream->closed()) {
    if (env_.scheduler.now() - stream->last_read > config_.silence_max) {
      stream->close();
      co_return;
    }
    Envelope ping;
    address(ping, 0);
    ping.set_api("ping");
    (void)stream->send(encode_frame(ping));
    const bool go_on = co_await gate_.sleep_for(config_.ping_interval);
    if (!go_on) co_return;
  }
}

env::Task<Error> PeerChannel::read_loop(std::shared_ptr<FramedStream> stream) {
  while (true) {
    Result<Envelope> envelope = co_await stream->read();
    if (!envelope) co_return envelope.error();
    if (envelope->from() != peer_ || envelope->to() != config_.self || envelope->cluster_id() != config_.cluster_id)
      co_return Error{Errc::corrupt, "a message of another node or cluster"};
    stream->last_read = env_.scheduler.now();
    events_.on_heard(peer_);
    if (!envelope->has_response()) continue;
    const auto pending = pending_.find(envelope->correlation());
    if (pending != pending_.end()) pending->second->set(std::move(*envelope->mutable_response()));
  }
}

}  // namespace ordeal::meta
