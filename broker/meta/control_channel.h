// Connections of the CONTROLLER listener: one outgoing connection per peer, any number of incoming ones.
//
// A connection carries length-framed envelopes (control.proto). Raft messages go one way on the sender's outgoing
// connection and may be lost with it; requests are answered on the connection they came on. The outgoing side pings;
// a connection that stays silent is replaced, so that recovery after a partition does not wait for TCP.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "broker/env/env.h"
#include "broker/env/sync.h"
#include "broker/meta/control.pb.h"

namespace ordeal::meta {

struct ChannelConfig {
  NodeId self = kNoNode;
  std::string cluster_id;
  Duration connect_timeout = 500ms;
  Duration backoff_min = 20ms;
  Duration backoff_max = 200ms;
  Duration ping_interval = 250ms;
  Duration silence_max = 1000ms;  // of an outgoing connection, then it is replaced
  Duration idle_max = 5000ms;     // of an incoming one, then it is closed
};

// One connection: a bounded queue and a task that writes it; reading is the owner's.
class FramedStream {
 public:
  FramedStream(env::Scheduler& scheduler, std::unique_ptr<env::Stream> stream)
      : stream_(std::move(stream)), queued_(scheduler) {}

  bool send(std::string frame);  // false: closed, or the queue is full (what it carried is lost)
  env::Task<Result<Envelope>> read();
  void close();
  bool closed() const { return closed_; }
  const env::Stream& stream() const { return *stream_; }

  // Ends when the connection is closed. Keeps the connection alive.
  static env::Task<> write_loop(std::shared_ptr<FramedStream> self);

  Instant last_read{};
  NodeId peer = kNoNode;  // once known

 private:
  static constexpr std::size_t kQueueBytesMax = 64 << 20;

  std::unique_ptr<env::Stream> stream_;
  env::Signal queued_;
  std::deque<std::string> queue_;
  std::size_t queue_bytes_ = 0;
  bool closed_ = false;
};

// What the node learns from its connections.
class ControlEvents {
 public:
  virtual ~ControlEvents() = default;
  virtual void on_raft(const Envelope& envelope) = 0;
  virtual env::Task<ControllerResponse> on_request(NodeId from, ControllerRequest request) = 0;
  virtual void on_connected(NodeId peer) = 0;
  virtual void on_heard(NodeId peer) = 0;  // any message
  // The peer's end closed or refused the connection: a hint that its process ended. Silence is no such hint.
  virtual void on_lost(NodeId peer) = 0;
};

// The outgoing connection to one peer, for ever reconnecting until the gate closes.
class PeerChannel {
 public:
  PeerChannel(env::Env& env, env::Gate& gate, ChannelConfig config, NodeId peer, Endpoint endpoint,
              ControlEvents& events);

  void start();
  void stop();  // closes the connection and fails what is pending; the gate's owner waits for the tasks
  const Endpoint& endpoint() const { return endpoint_; }
  bool connected() const { return stream_ != nullptr && !stream_->closed(); }

  void send_raft(Envelope envelope);  // dropped when not connected: Raft repeats what matters
  // Errors: unreachable (not connected, connection lost, failed by fail_pending), timed_out, closed.
  env::Task<Result<ControllerResponse>> call(ControllerRequest request, Instant deadline);
  void fail_pending(const Error& error);

 private:
  using Reply = env::OneShot<Result<ControllerResponse>>;

  env::Task<> run();
  env::Task<> ping_loop(std::shared_ptr<FramedStream> stream);
  env::Task<Error> read_loop(std::shared_ptr<FramedStream> stream);
  void address(Envelope& envelope, std::uint64_t correlation) const;

  env::Env& env_;
  env::Gate& gate_;
  const ChannelConfig config_;
  const NodeId peer_;
  const Endpoint endpoint_;
  ControlEvents& events_;
  std::shared_ptr<FramedStream> stream_;
  std::map<std::uint64_t, std::shared_ptr<Reply>> pending_;
  std::uint64_t next_correlation_ = 1;
  bool stopped_ = false;
};

// The listener and its incoming connections.
class ControlServer {
 public:
  ControlServer(env::Env& env, env::Gate& gate, ChannelConfig config, ControlEvents& events)
      : env_(env), gate_(gate), config_(std::move(config)), events_(events) {}

  Status start(const Endpoint& at);
  void stop();

 private:
  env::Task<> accept_loop();
  env::Task<> serve(std::shared_ptr<FramedStream> stream);
  env::Task<> answer(std::shared_ptr<FramedStream> stream, NodeId from, std::uint64_t correlation,
                     ControllerRequest request);
  env::Task<> idle_loop();
  bool acceptable(const Envelope& envelope) const;

  env::Env& env_;
  env::Gate& gate_;
  const ChannelConfig config_;
  ControlEvents& events_;
  std::unique_ptr<env::Listener> listener_;
  std::map<std::uint64_t, std::weak_ptr<FramedStream>> streams_;  // in order of arrival
  std::uint64_t next_stream_ = 1;
};

}  // namespace ordeal::meta
