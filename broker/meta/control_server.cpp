// The incoming side of the control channel.
#include "broker/meta/control_channel.h"
#include "broker/meta/control_codec.h"

namespace ordeal::meta {

Status ControlServer::start(const Endpoint& at) {
  auto listener = env_.network.listen(at);
  if (!listener) return fail(listener.error().at("controller listener " + at.to_string()));
  listener_ = std::move(*listener);
  gate_.spawn(accept_loop(), "meta.accept");
  gate_.spawn(idle_loop(), "meta.idle");
  return {};
}

void ControlServer::stop() {
  if (listener_) listener_->close();
  for (const auto& [id, stream] : streams_)
    if (const auto open = stream.lock()) open->close();
}

env::Task<> ControlServer::accept_loop() {
  while (!gate_.closing()) {
    auto accepted = co_await listener_->accept();
    if (gate_.closing()) co_return;
    if (!accepted) {
      if (accepted.error().code == Errc::closed) co_return;
      // Out of descriptors, perhaps: what is open goes on, and accepting is tried again.
      env_.trace.warn("meta.accept_failed", {{"error", accepted.error().text}});
      const bool go_on = co_await gate_.sleep_for(100ms);
      if (!go_on) co_return;
      continue;
    }
    auto stream = std::make_shared<FramedStream>(env_.scheduler, std::move(*accepted));
    stream->last_read = env_.scheduler.now();
    streams_.emplace(next_stream_++, stream);
    gate_.spawn(FramedStream::write_loop(stream), "meta.serve.write");
    gate_.spawn(serve(stream), "meta.serve");
  }
}

env::Task<> ControlServer::idle_loop() {
  while (true) {
    const bool go_on = co_await gate_.sleep_for(config_.idle_max / 4);
    if (!go_on) co_return;
    const Instant now = env_.scheduler.now();
    for (auto it = streams_.begin(); it != streams_.end();) {
      const auto stream = it->second.lock();
      if (stream && now - stream->last_read > config_.idle_max) stream->close();
      it = stream ? std::next(it) : streams_.erase(it);
    }
  }
}

bool ControlServer::acceptable(const Envelope& envelope) const {
  return envelope.to() == config_.self && envelope.cluster_id() == config_.cluster_id;
}

env::Task<> ControlServer::serve(std::shared_ptr<FramedStream> stream) {
  while (!stream->closed()) {
    Result<Envelope> envelope = co_await stream->read();
    if (!envelope) {
      const bool ours = stream->closed();
      if (!ours && envelope.error().code == Errc::corrupt)
        env_.trace.warn("meta.bad_frame", {{"peer", stream->stream().peer().to_string()}});
      stream->close();
      if (!ours && !gate_.closing() && stream->peer != kNoNode) events_.on_lost(stream->peer);
      co_return;
    }
    if (!acceptable(*envelope)) {
      env_.trace.warn("meta.wrong_cluster", {{"from", envelope->from()}, {"to", envelope->to()}});
      stream->close();
      co_return;
    }
    stream->last_read = env_.scheduler.now();
    stream->peer = envelope->from();
    events_.on_heard(envelope->from());
    if (envelope->has_raft()) {
      events_.on_raft(*envelope);
    } else if (envelope->has_request()) {
      gate_.spawn(answer(stream, envelope->from(), envelope->correlation(), std::move(*envelope->mutable_request())),
                  "meta.answer");
    } else if (envelope->api() == "ping") {
      Envelope pong;
      pong.set_api("pong");
      pong.set_from(config_.self);
      pong.set_to(envelope->from());
      pong.set_cluster_id(config_.cluster_id);
      (void)stream->send(encode_frame(pong));
    }
  }
}

env::Task<> ControlServer::answer(std::shared_ptr<FramedStream> stream, NodeId from, std::uint64_t correlation,
                                  ControllerRequest request) {
  Envelope envelope;
  envelope.set_api(api_name(request));
  ControllerResponse response = co_await events_.on_request(from, std::move(request));
  envelope.set_from(config_.self);
  envelope.set_to(from);
  envelope.set_cluster_id(config_.cluster_id);
  envelope.set_correlation(correlation);
  *envelope.mutable_response() = std::move(response);
  (void)stream->send(encode_frame(envelope));
}

}  // namespace ordeal::meta
