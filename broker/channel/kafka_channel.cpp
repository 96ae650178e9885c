#include "broker/channel/kafka_channel.h"

#include <fmt/format.h>

#include <deque>
#include <map>

#include "broker/wire/frame.h"

namespace ordeal::channel {

using env::Task;

struct KafkaChannel::State {
  State(env::Env& world, std::unique_ptr<env::Stream> connection, ChannelOptions given)
      : env(world), stream(std::move(connection)), options(std::move(given)), outbox_filled(world.scheduler) {}

  env::Env& env;
  std::unique_ptr<env::Stream> stream;
  ChannelOptions options;
  std::deque<Bytes> outbox;
  env::Signal outbox_filled;
  std::map<std::int32_t, Ticket> waiting;  // by correlation id
  std::int32_t next_id = 1;
  bool ended = false;
  Error reason{Errc::closed, "closed"};

  void end(Error why) {
    if (ended) return;
    ended = true;
    reason = std::move(why);
    stream->close();
    outbox_filled.notify_all();
    for (auto& [id, pending] : waiting) pending->set(fail(reason));
    waiting.clear();
  }
};

Task<Result<std::unique_ptr<KafkaChannel>>> KafkaChannel::open(env::Env& env, Endpoint to, ChannelOptions options,
                                                               Instant deadline) {
  auto stream = co_await env.network.connect(to, deadline);
  if (!stream) co_return fail(stream.error());
  auto state = std::make_shared<State>(env, std::move(*stream), std::move(options));
  env.scheduler.spawn(read_loop(state), "kafka-channel-read");
  env.scheduler.spawn(write_loop(state), "kafka-channel-write");
  co_return std::unique_ptr<KafkaChannel>(new KafkaChannel(std::move(state)));
}

KafkaChannel::~KafkaChannel() { close(); }

void KafkaChannel::close() { state_->end({Errc::closed, state_->stream->peer().to_string() + ": closed by us"}); }
bool KafkaChannel::broken() const { return state_->ended; }
std::size_t KafkaChannel::in_flight() const { return state_->waiting.size(); }
Endpoint KafkaChannel::peer() const { return state_->stream->peer(); }

std::int32_t KafkaChannel::next_id() {
  const std::int32_t id = state_->next_id;
  state_->next_id = id == std::numeric_limits<std::int32_t>::max() ? 1 : id + 1;
  return id;
}

wire::RequestHeader KafkaChannel::header_for(std::int16_t version, std::int32_t id) const {
  wire::RequestHeader header;
  header.api_version = version;
  header.correlation_id = id;
  header.client_id = state_->options.client_id;
  return header;
}

KafkaChannel::Ticket KafkaChannel::enqueue(Bytes frame, std::int32_t id) {
  auto ticket = std::make_shared<env::OneShot<Result<Slice>>>(state_->env.scheduler);
  if (state_->ended) {
    ticket->set(fail(state_->reason));
    return ticket;
  }
  state_->waiting.emplace(id, ticket);
  state_->outbox.push_back(std::move(frame));
  state_->outbox_filled.notify_all();
  return ticket;
}

Task<Result<Slice>> KafkaChannel::await_reply(Ticket ticket, Instant deadline) {
  std::shared_ptr<State> state = state_;  // the channel may be destroyed while we wait
  std::optional<Result<Slice>> reply = co_await ticket->wait(deadline);
  if (!reply) {
    state->end({Errc::timed_out, fmt::format("{}: no reply in time", state->stream->peer().to_string())});
    co_return fail(state->reason);
  }
  co_return std::move(*reply);
}

Task<Status> KafkaChannel::post(Bytes frame) {
  if (state_->ended) co_return fail(state_->reason);
  state_->outbox.push_back(std::move(frame));
  state_->outbox_filled.notify_all();
  co_return Status{};
}

Task<> KafkaChannel::write_loop(std::shared_ptr<State> state) {
  while (!state->ended) {
    if (state->outbox.empty()) {
      co_await state->outbox_filled.wait();
      continue;
    }
    std::vector<Bytes> frames;
    for (; !state->outbox.empty() && frames.size() < 64; state->outbox.pop_front()) {
      frames.push_back(std::move(state->outbox.front()));
    }
    std::vector<ByteView> parts(frames.begin(), frames.end());
    Status written = co_await state->stream->write(parts);
    if (!written) state->end(written.error());
  }
}

Task<> KafkaChannel::read_loop(std::shared_ptr<State> state) {
  wire::FrameReader frames(state->options.frame_max);
  while (!state->ended) {
    Result<std::size_t> got = co_await state->stream->read_some(frames.space());
    if (!got) {
      state->end(got.error());
      co_return;
    }
    frames.commit(*got);
    while (!state->ended) {
      auto frame = frames.next();
      if (!frame) {
        state->end(frame.error());
        break;
      }
      if (!*frame) break;
      const auto id = wire::peek_correlation_id((*frame)->view);
      // Replies come in request order, so the oldest open call is the one answered; anything else is damage.
      if (!id || state->waiting.empty() || state->waiting.begin()->first != *id) {
        state->end(
            {Errc::corrupt, fmt::format("{}: a reply to no request of ours", state->stream->peer().to_string())});
        break;
      }
      auto answered = state->waiting.extract(state->waiting.begin());
      answered.mapped()->set(std::move(**frame));
    }
  }
}

}  // namespace ordeal::channel
