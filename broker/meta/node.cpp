// Start, stop, and the way of a request to the active controller.
#include "broker/meta/node.h"

#include "broker/base/check.h"
#include "broker/meta/error_code.h"
#include "broker/meta/node_impl.h"

namespace ordeal::meta {

namespace {
constexpr Duration kRetryFirst = 10ms;
constexpr Duration kRetryMax = 100ms;
}  // namespace

Node::Impl::Impl(env::Env& env, NodeConfig config, kv::KvStore& store, const mutation::Switches& switches)
    : image_(std::make_shared<const ClusterImage>()),
      image_changed_(env.scheduler),
      env_(env),
      config_(std::move(config)),
      store_(store),
      switches_(switches),
      gate_(env.scheduler),
      server_(env, gate_, channel_config(), *this),
      wake_(env.scheduler),
      leader_changed_(env.scheduler),
      lifecycle_wake_(env.scheduler) {
  ORDEAL_CHECK(own_endpoint().port != 0, "node {} does not know where its controller listens", config_.id);
  ORDEAL_CHECK(!config_.incarnation.is_zero());
}

ChannelConfig Node::Impl::channel_config() const {
  ChannelConfig channel;
  channel.self = config_.id;
  channel.cluster_id = config_.cluster_id;
  channel.connect_timeout = config_.connect_timeout;
  channel.backoff_max = config_.reconnect_backoff_max;
  return channel;
}

env::Task<Status> Node::Impl::start() {
  auto load = [this] { return load_state(store_); };
  Result<StoredState> stored = co_await env::blocking(env_.scheduler, std::move(load));
  if (!stored) co_return fail(std::move(stored.error()));
  image_ = std::move(stored->image);

  raft::Config raft_config;
  raft_config.id = config_.id;
  raft_config.voters = config_.voters;
  raft_config.endpoint = own_endpoint();
  // A log that is kept short is also sent in short pieces.
  const std::int64_t batch = std::clamp<std::int64_t>(config_.raft_entries_max / 8, 1, 256);
  raft_config.batch_entries_max = static_cast<std::size_t>(batch);
  raft_config.election_timeout = config_.election_timeout;
  raft_config.heartbeat_interval = config_.raft_heartbeat;
  raft_config.quorum_timeout = config_.quorum_timeout;
  raft_.emplace(std::move(raft_config), std::move(stored->raft), Random(env_.random.next()), env_.scheduler.now(),
                switches_);

  Status listening = server_.start(own_endpoint());
  if (!listening) co_return listening;
  connect_to_voters(raft_->voters());
  gate_.spawn(raft_loop(), "meta.raft");
  gate_.spawn(lifecycle_loop(), "meta.lifecycle");
  co_return Status{};
}

env::Task<> Node::Impl::stop() {
  gate_.begin_close();
  server_.stop();
  for (const auto& [id, channel] : channels_) channel->stop();
  wake_.notify_all();
  leader_changed_.notify_all();
  lifecycle_wake_.notify_all();
  image_changed_.notify_all();
  co_await gate_.close();
}

env::Task<Result<ControllerResponse>> Node::Impl::call_controller(ControllerRequest request, Instant deadline) {
  Duration retry = kRetryFirst;
  while (true) {
    if (gate_.closing() || !raft_) co_return fail(Errc::closed, "the node is stopping");
    const Instant now = env_.scheduler.now();
    if (now >= deadline) co_return fail(Errc::timed_out, "no active controller answered");
    const NodeId leader = raft_->leader();
    std::optional<ControllerResponse> answer;
    if (leader == config_.id) {
      auto reply = std::make_shared<Reply>(env_.scheduler);
      post(Request{request, reply});
      answer = co_await reply->wait(deadline);
    } else if (leader != kNoNode) {
      const auto channel = channels_.find(leader);
      if (channel != channels_.end()) {
        Result<ControllerResponse> remote = co_await channel->second->call(request, deadline);
        if (remote) answer = std::move(*remote);
      }
    }
    if (answer && answer->error_code() != error_code::kNotController) co_return std::move(*answer);
    const Instant again = std::min(deadline, env_.scheduler.now() + retry);
    (void)co_await leader_changed_.wait(again);
    retry = std::min(2 * retry, kRetryMax);
  }
}

// ---- the public face ----

Node::Node(env::Env& env, NodeConfig config, kv::KvStore& store, const mutation::Switches& switches)
    : impl_(std::make_unique<Impl>(env, std::move(config), store, switches)) {}
Node::~Node() = default;

env::Task<Status> Node::start() { return impl_->start(); }
env::Task<> Node::stop() { return impl_->stop(); }
ImagePtr Node::image() const { return impl_->image_; }
env::Signal& Node::image_changed() { return impl_->image_changed_; }
void Node::set_ready() { impl_->set_ready(); }
env::Task<Status> Node::wait_unfenced(Instant deadline) { return impl_->wait_unfenced(deadline); }
env::Task<Status> Node::controlled_shutdown(Instant deadline) { return impl_->controlled_shutdown(deadline); }
BrokerEpoch Node::broker_epoch() const { return impl_->broker_epoch_; }
bool Node::fenced() const { return impl_->fenced(); }
NodeId Node::controller_id() const { return impl_->controller_id(); }
bool Node::is_active_controller() const { return impl_->is_active_controller(); }
QuorumStatus Node::quorum() const { return impl_->quorum(); }
env::Task<Result<ControllerResponse>> Node::call_controller(ControllerRequest request, Instant deadline) {
  return impl_->call_controller(std::move(request), deadline);
}

}  // namespace ordeal::meta
