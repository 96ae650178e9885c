// The client end of one Kafka connection on Env: requests are pipelined, replies matched in order by correlation id.
//
// Used by the native client and by follower fetchers. A call that misses its deadline, and any damage on the wire,
// ends the connection: the peer's later replies could no longer be trusted to be ours. Nobody reconnects here.
#pragma once

#include <memory>
#include <string>

#include "broker/base/result.h"
#include "broker/env/env.h"
#include "broker/env/sync.h"
#include "broker/wire/api.h"

namespace ordeal::channel {

struct ChannelOptions {
  std::string client_id;
  std::size_t frame_max = 128 << 20;
};

class KafkaChannel {
 public:
  // Connects; does not negotiate versions.
  static env::Task<Result<std::unique_ptr<KafkaChannel>>> open(env::Env& env, Endpoint to, ChannelOptions options,
                                                               Instant deadline);
  ~KafkaChannel();  // closes: open calls return Errc::closed
  KafkaChannel(const KafkaChannel&) = delete;
  KafkaChannel& operator=(const KafkaChannel&) = delete;

  // Errors: timed_out, closed, unreachable, corrupt.
  template <class Request>
  env::Task<Result<typename Request::Response>> call(Request request, std::int16_t version, Instant deadline) {
    Ticket ticket = start(request, version);
    auto reply = co_await finish<Request>(std::move(ticket), version, deadline);
    co_return reply;
  }

  // The two halves of call(): start() puts the request in line at once, so that callers fix the order of requests;
  // finish() awaits the reply.
  using Ticket = std::shared_ptr<env::OneShot<Result<Slice>>>;
  template <class Request>
  Ticket start(const Request& request, std::int16_t version) {
    const std::int32_t id = next_id();
    return enqueue(wire::encode_request(header_for(version, id), request), id);
  }
  template <class Request>
  env::Task<Result<typename Request::Response>> finish(Ticket ticket, std::int16_t version, Instant deadline) {
    Result<Slice> reply = co_await await_reply(std::move(ticket), deadline);
    if (!reply) co_return fail(reply.error());
    auto decoded = wire::decode_response<typename Request::Response>(*reply, version);
    if (!decoded) {
      close();
      co_return fail(decoded.error());
    }
    co_return std::move(decoded->body);
  }

  // For requests that get no reply (Produce with acks=0): returns when the bytes are handed to the connection.
  template <class Request>
  env::Task<Status> send_only(Request request, std::int16_t version) {
    const std::int32_t id = next_id();
    wire::RequestHeader header = header_for(version, id);
    Bytes frame = wire::encode_request(header, request);
    Status sent = co_await post(std::move(frame));
    co_return sent;
  }

  void close();
  bool broken() const;  // no further call can succeed
  std::size_t in_flight() const;
  Endpoint peer() const;

 private:
  struct State;
  explicit KafkaChannel(std::shared_ptr<State> state) : state_(std::move(state)) {}
  std::int32_t next_id();
  wire::RequestHeader header_for(std::int16_t version, std::int32_t id) const;
  Ticket enqueue(Bytes frame, std::int32_t id);
  env::Task<Result<Slice>> await_reply(Ticket ticket, Instant deadline);
  env::Task<Status> post(Bytes frame);

  static env::Task<> read_loop(std::shared_ptr<State> state);
  static env::Task<> write_loop(std::shared_ptr<State> state);

  std::shared_ptr<State> state_;  // shared with the two loops, which end when the stream does
};

}  // namespace ordeal::channel
