// The Raft loop. Effects in the contract's order: persist, then send, then apply, then acknowledge.
#include "broker/base/check.h"
#include "broker/base/mark.h"
#include "broker/env/buggify.h"
#include "broker/meta/control_codec.h"
#include "broker/meta/node_impl.h"

namespace ordeal::meta {

namespace {
constexpr std::int64_t kEarlyCompaction = 8;
}  // namespace

void Node::Impl::post(Event event) {
  if (gate_.closing()) {
    if (auto* request = std::get_if<Request>(&event)) request->reply->set(not_controller());
    return;
  }
  events_.push_back(std::move(event));
  wake_.notify_all();
}

void Node::Impl::on_raft(const Envelope& envelope) {
  std::optional<raft::Message> message = decode_raft(envelope);
  if (!message) return;
  if (const auto* join = std::get_if<raft::Join>(&message->body)) connect_to(message->from, join->endpoint);
  if (const auto* answer = std::get_if<raft::JoinResponse>(&message->body)) connect_to_voters(answer->voters);
  post(std::move(*message));
}

void Node::Impl::on_lost(NodeId peer) {
  if (!channels_.contains(peer) || !lost_.insert(peer).second) return;
  post(LostPeer{peer});
}

void Node::Impl::on_connected(NodeId peer) {
  // The controller may have seen our last connection break: say at once that we live.
  if (raft_ && peer == raft_->leader()) kick_lifecycle();
  post(FoundPeer{peer});
}

env::Task<> Node::Impl::raft_loop() {
  while (!gate_.closing()) {
    step_events();
    raft::Effects effects = raft_->take_effects();
    if (!effects.empty()) {
      const Status performed = co_await perform(std::move(effects));
      if (!performed) {
        fatal(performed.error());
        break;
      }
      activate_controller();
      continue;
    }
    note_quorum();
    if (!events_.empty()) continue;
    const Instant deadline = next_deadline();
    if (deadline <= env_.scheduler.now()) continue;
    (void)co_await wake_.wait(deadline);
  }
  resign_controller();
  for (Event& event : std::exchange(events_, {})) post(std::move(event));  // answers the requests among them
}

Instant Node::Impl::next_deadline() const {
  const Instant raft_deadline = raft_->next_deadline();
  return controller_ ? std::min(raft_deadline, controller_->next_deadline()) : raft_deadline;
}

void Node::Impl::step_events() {
  // Before the timers: what arrived while this loop was persisting (a slow disk) is no silence of the peers.
  while (!events_.empty()) {
    Event event = std::move(events_.front());
    events_.pop_front();
    step(std::move(event));
    note_role();
  }
  const Instant now = env_.scheduler.now();
  if (now >= raft_->next_deadline()) raft_->tick(now);
  note_role();
  if (controller_ && now >= controller_->next_deadline()) tick_controller();
}

void Node::Impl::step(Event event) {
  const Instant now = env_.scheduler.now();
  if (auto* message = std::get_if<raft::Message>(&event)) return raft_->receive(std::move(*message), now);
  if (auto* request = std::get_if<Request>(&event)) return decide(std::move(*request));
  if (std::holds_alternative<Transfer>(event)) return raft_->transfer_leadership(now);
  if (const auto* found = std::get_if<FoundPeer>(&event)) return raft_->peer_connected(found->peer);
  const NodeId peer = std::get<LostPeer>(event).peer;
  raft_->peer_lost(peer, now);
  if (controller_) controller_->connection_lost(peer, now);
}

void Node::Impl::note_role() {
  if (raft_->role() == seen_role_ && raft_->term() == seen_term_ && raft_->leader() == seen_leader_) return;
  seen_role_ = raft_->role();
  seen_term_ = raft_->term();
  // Of a leader: without what it writes itself.
  const raft::Index end = leads() ? raft_->term_start() - 1 : raft_->last_index();
  env_.trace.info(
      "raft.role",
      {{"role", raft::role_name(seen_role_)}, {"term", seen_term_}, {"leader", raft_->leader()}, {"end", end}});
  if (controller_ && !(leads() && controller_term_ == seen_term_)) resign_controller();
  if (raft_->leader() == seen_leader_) return;
  seen_leader_ = raft_->leader();
  for (const auto& [id, channel] : channels_)
    if (id != seen_leader_) channel->fail_pending({Errc::not_leader, "the controller has changed"});
  leader_changed_.notify_all();
}

env::Task<Status> Node::Impl::perform(raft::Effects effects) {
  if (effects.fatal) co_return fail(Errc::corrupt, std::move(*effects.fatal));
  // 1. persist
  ImagePtr installed;
  if (effects.install) {
    Result<ImagePtr> decoded = decode_snapshot(*effects.install);
    if (!decoded) co_return fail(std::move(decoded.error()));
    installed = std::move(*decoded);
  }
  if (effects.must_persist()) {
    kv::WriteBatch batch = persist_batch(effects, installed);
    const Status written = co_await write(std::move(batch), must_sync(effects) ? kv::Sync::yes : kv::Sync::no);
    if (!written) co_return written;
    note_persisted(effects);
  }
  note_quorum();
  if (gate_.closing()) co_return Status{};
  // What the controller tells to be committed it tells before others learn of it and act on it.
  std::optional<ImageBuilder> replayed;
  if (!effects.apply.empty()) {
    replayed.emplace(installed ? *installed : *image_);
    const Status sound = replay(effects.apply, *replayed);
    if (!sound) co_return sound;
  }
  // 2. send
  for (const raft::Message& message : effects.send) send_raft(message);
  send_snapshots(effects.send_snapshot_to);
  // 3. apply
  if (installed) publish(std::move(installed));
  if (replayed) {
    const Status applied = co_await apply(std::move(*replayed));
    if (!applied) co_return applied;
  }
  // 4. acknowledge
  acknowledge();
  const Status compacted = co_await compact_log();
  co_return compacted;
}

// All that a message may promise is durable before it leaves, or a power cut takes back what was counted.
bool Node::Impl::must_sync(const raft::Effects& effects) const {
  if (effects.hard_state || effects.install) return true;
  return !switches_.active(mutation::Bug::raft_no_fsync);
}

void Node::Impl::note_persisted(const raft::Effects& effects) {
  if (effects.truncate_from)
    env_.trace.debug("raft.truncate", {{"from", effects.truncate_to}, {"to", *effects.truncate_from - 1}});
  if (!effects.install) return;
  const raft::LogBase& base = effects.install->base;
  env_.trace.info("raft.snapshot", {{"index", base.index}, {"term", base.term}, {"from", effects.install_from}});
}

void Node::Impl::send_snapshots(const std::vector<NodeId>& peers) {
  if (peers.empty()) return;
  ORDEAL_MARK("raft.snapshot_sent");
  const raft::Snapshot snapshot = encode_snapshot(*image_, raft_->snapshot_base(image_->offset()));
  for (const NodeId peer : peers)
    for (const raft::Message& message : raft_->snapshot_messages(peer, snapshot)) send_raft(message);
}

Status Node::Impl::replay(const std::vector<raft::Entry>& entries, ImageBuilder& builder) {
  for (const raft::Entry& entry : entries) {
    if (entry.kind != raft::EntryKind::records) {
      builder.skip(entry.index);
      continue;
    }
    ORDEAL_TRY(builder.replay(entry.data, entry.index));
    report_committed(entry, builder.view());
  }
  return {};
}

env::Task<Status> Node::Impl::apply(ImageBuilder builder) {
  ImagePtr image = builder.build();
  kv::WriteBatch batch = apply_batch(builder.take_changes(), *image);
  const Status written = co_await write(std::move(batch), kv::Sync::no);
  if (!written) co_return written;
  publish(std::move(image));
  co_return Status{};
}

void Node::Impl::publish(ImagePtr image) {
  const ImagePtr before = std::exchange(image_, std::move(image));
  note_own_registration(*before, *image_);
  note_applied();
  image_changed_.notify_all();
  if (fenced() && ready_ && broker_epoch_ >= 0 && image_->offset() >= broker_epoch_) kick_lifecycle();
}

env::Task<Status> Node::Impl::compact_log() {
  const raft::Index applied = image_->offset();
  // Also of a few entries, now and then: followers then need snapshots that small clusters would never send.
  const bool early = applied - raft_->first_index() >= kEarlyCompaction && env::buggify(env_, "raft.compact_early");
  const std::int64_t most = early ? kEarlyCompaction : config_.raft_entries_max;
  if (applied - raft_->first_index() < most) co_return Status{};
  // Half stays for followers that are only a little behind.
  const raft::LogBase base = raft_->base_at(applied - most / 2);
  kv::WriteBatch batch = compact_batch(base);
  const Status written = co_await write(std::move(batch), kv::Sync::yes);
  if (!written) co_return written;
  raft_->compact(base.index);
  env_.trace.debug("raft.compacted", {{"index", base.index}});
  co_return Status{};
}

env::Task<Status> Node::Impl::write(kv::WriteBatch batch, kv::Sync sync) {
  auto work = [this, &batch, sync] { return store_.write(batch, sync); };
  const Status written = co_await env::blocking(env_.scheduler, std::move(work));
  co_return written;
}

void Node::Impl::fatal(const Error& error) {
  failed_ = true;
  env_.trace.error("meta.fatal", {{"error", error.text}});
  gate_.begin_close();
  if (config_.on_fatal) return config_.on_fatal(error);
  ORDEAL_CHECK(false, "metadata plane of node {}: {}", config_.id, error.to_string());
}

}  // namespace ordeal::meta
