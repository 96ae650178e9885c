// A small Kafka client connection for brokers that call brokers: one request at a time, framed, with a deadline.
//
// It connects when it has to and keeps the connection as long as it works. Any error closes it, since what may still
// arrive on it belongs to a request given up; the next call connects anew. Backing off is the caller's business.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "broker/base/bytes.h"
#include "broker/base/result.h"
#include "broker/env/env.h"
#include "broker/wire/api.h"
#include "broker/wire/frame.h"

namespace ordeal::replica {

class KafkaChannel {
 public:
  KafkaChannel(env::Env& env, std::string client_id, Duration connect_timeout, std::size_t frame_max = 256 << 20)
      : env_(env), client_id_(std::move(client_id)), connect_timeout_(connect_timeout), frame_max_(frame_max) {}
  KafkaChannel(const KafkaChannel&) = delete;
  KafkaChannel& operator=(const KafkaChannel&) = delete;
  ~KafkaChannel() { close(); }

  // Sends `request` to `to` at `version` and waits for the answer. One call at a time. Errors: those of connect,
  // Errc::timed_out at the deadline, Errc::closed after interrupt(), Errc::corrupt for an answer that is none.
  template <class Request>
  env::Task<Result<typename Request::Response>> call(Endpoint to, Request request, std::int16_t version,
                                                     Instant deadline) {
    using Response = typename Request::Response;
    wire::RequestHeader header;
    header.api_version = version;
    header.correlation_id = ++correlation_;
    header.client_id = client_id_;
    Bytes frame = wire::encode_request(header, request);
    Result<Slice> answer = co_await exchange(std::move(to), std::move(frame), deadline);
    if (!answer) co_return fail(answer.error());
    Result<wire::DecodedResponse<Response>> decoded = wire::decode_response<Response>(*answer, version);
    if (decoded && decoded->correlation_id == header.correlation_id) co_return std::move(decoded->body);
    close();
    if (!decoded) co_return fail(decoded.error());
    co_return fail(Errc::corrupt, "the answer is to another request");
  }

  // A call in progress ends with Errc::closed; an idle connection is kept.
  void interrupt();
  void close();
  bool calling() const { return calling_; }

 private:
  struct Connection {
    std::unique_ptr<env::Stream> stream;
    wire::FrameReader frames;
    Endpoint to;
    bool timed_out = false;
  };

  env::Task<Result<Slice>> exchange(Endpoint to, Bytes frame, Instant deadline);
  env::Task<Status> ensure_connected(Endpoint to, Instant deadline);
  static env::Task<Result<Slice>> converse(std::shared_ptr<Connection> connection, Bytes frame);

  env::Env& env_;
  std::string client_id_;
  Duration connect_timeout_;
  std::size_t frame_max_;
  std::int32_t correlation_ = 0;
  std::shared_ptr<Connection> connection_;
  bool calling_ = false;
  bool interrupted_ = false;  // while connecting, when there is nothing to close yet
};

}  // namespace ordeal::replica
