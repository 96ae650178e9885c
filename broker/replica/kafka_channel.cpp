#include "broker/replica/kafka_channel.h"

#include <algorithm>
#include <optional>

#include "broker/base/check.h"

namespace ordeal::replica {

void KafkaChannel::close() {
  if (connection_) connection_->stream->close();
  connection_.reset();
}

void KafkaChannel::interrupt() {
  if (!calling_) return;
  interrupted_ = true;
  close();
}

env::Task<Status> KafkaChannel::ensure_connected(Endpoint to, Instant deadline) {
  if (connection_ && connection_->to == to) co_return Status{};
  close();
  const Instant give_up = std::min(deadline, env_.scheduler.now() + connect_timeout_);
  Result<std::unique_ptr<env::Stream>> stream = co_await env_.network.connect(to, give_up);
  if (!stream) co_return fail(stream.error());
  if (interrupted_) {
    (*stream)->close();
    co_return fail(Errc::closed, "interrupted");
  }
  connection_ =
      std::make_shared<Connection>(Connection{std::move(*stream), wire::FrameReader(frame_max_), std::move(to), false});
  co_return Status{};
}

env::Task<Result<Slice>> KafkaChannel::converse(std::shared_ptr<Connection> connection, Bytes frame) {
  Status sent = co_await connection->stream->write_all(frame);
  if (!sent) co_return fail(sent.error());
  while (true) {
    Result<std::optional<Slice>> answer = connection->frames.next();
    if (!answer) co_return fail(answer.error());
    if (*answer) co_return std::move(**answer);
    Result<std::size_t> got = co_await connection->stream->read_some(connection->frames.space());
    if (!got) co_return fail(got.error());
    connection->frames.commit(*got);
  }
}

env::Task<Result<Slice>> KafkaChannel::exchange(Endpoint to, Bytes frame, Instant deadline) {
  ORDEAL_CHECK(!calling_, "one call at a time");
  calling_ = true;
  interrupted_ = false;
  Status connected = co_await ensure_connected(to, deadline);
  if (!connected) {
    calling_ = false;
    co_return fail(connected.error().at(to.to_string()));
  }
  std::shared_ptr<Connection> connection = connection_;
  std::weak_ptr<Connection> watched = connection;
  const env::TimerId timer = env_.scheduler.call_at(deadline, [watched] {
    if (const auto alive = watched.lock()) {
      alive->timed_out = true;
      alive->stream->close();
    }
  });
  Result<Slice> answer = co_await converse(connection, std::move(frame));
  env_.scheduler.cancel(timer);
  calling_ = false;
  if (answer) co_return answer;
  if (connection_ == connection) close();
  if (connection->timed_out) co_return fail(Errc::timed_out, to.to_string() + ": no answer in time");
  if (interrupted_) co_return fail(Errc::closed, "interrupted");
  co_return fail(answer.error().at(to.to_string()));
}

}  // namespace ordeal::replica
