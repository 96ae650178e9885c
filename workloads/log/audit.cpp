#include "workloads/log/audit.h"

#include <fmt/format.h>

#include "workloads/history/payload.h"
#include "workloads/log/env_clients.h"

namespace ordeal::workload {

using env::Task;

namespace {

client::ConsumerOptions raw_options() {
  client::ConsumerOptions options;
  options.read_committed = false;  // evidence, not a reader's view: aborted data and markers are looked at too
  options.max_wait = 100ms;
  return options;
}

}  // namespace

Auditor::Auditor(env::Env& env, const LogConfig& config, std::uint16_t process, history::Recorder& recorder)
    : env_(env),
      config_(config),
      process_(process),
      recorder_(recorder),
      objects_(config.objects()),
      run_hash_(history::run_hash(config.run_id)),
      drains_(objects_.size()),
      cluster_(env, native_cluster_options(config, "auditor")),
      consumer_(cluster_, raw_options()) {
  for (std::size_t i = 0; i < objects_.size(); ++i) object_of_[objects_[i]] = static_cast<std::uint16_t>(i);
  report_.partitions = objects_.size();
}

Task<bool> Auditor::find_start(std::uint16_t object, Instant deadline) {
  Drain& drain = drains_[object];
  while (env_.scheduler.now() < deadline) {
    auto listed = co_await cluster_.list_offset(objects_[object], wire::kEarliestTimestamp, deadline);
    if (listed) {
      drain.position = listed->offset;
      drain.started = true;
      recorder_.audit_start(env_.scheduler.now(), process_, object, listed->offset);
      consumer_.assign(objects_[object], listed->offset);
      co_return true;
    }
    drain.trouble = listed.error().text;
    co_await env_.scheduler.sleep_for(50ms);
  }
  co_return false;
}

// The position has reached what we knew as the end (or we know none yet): what does the leader say now?
Task<> Auditor::ask_end(std::uint16_t object, Instant deadline) {
  auto listed = co_await cluster_.list_offset(objects_[object], wire::kLatestTimestamp,
                                              std::min(deadline, env_.scheduler.now() + 5s));
  Drain& drain = drains_[object];
  if (!listed) {
    drain.trouble = listed.error().text;
    co_return;
  }
  // Reaching an end that is then confirmed by a second answer is the proof.
  drain.proven = drain.end == listed->offset && drain.position >= drain.end && drain.asked_after_reaching;
  drain.asked_after_reaching = drain.position >= listed->offset;
  drain.end = listed->offset;
}

void Auditor::take_batch(std::uint16_t object, const client::Fetched& chunk, const client::UnpackedBatch& batch) {
  const Instant now = env_.scheduler.now();
  const LeaderEpoch epoch = batch.view.partition_leader_epoch();
  history::AuditBatch evidence;
  evidence.object = object;
  evidence.base_offset = batch.view.base_offset();
  evidence.last_offset = batch.view.last_offset();
  evidence.leader_epoch = epoch;
  evidence.producer_id = batch.view.producer_id();
  evidence.producer_epoch = batch.view.producer_epoch();
  evidence.base_sequence = batch.view.base_sequence();
  evidence.record_count = static_cast<std::uint32_t>(batch.view.record_count());
  evidence.crc_ok = batch.crc_ok;
  auto reader = wire::RecordReader::open(batch.view);
  wire::Record record;
  while (reader) {
    const auto more = reader->next(record);
    if (!more || !*more) {
      if (!more) recorder_.note(fmt::format("audit of {}: {}", chunk.tp.to_string(), more.error().text));
      break;
    }
    if (batch.view.is_control()) {
      const auto marker = wire::parse_control_record(record);
      evidence.control = !marker || marker->type > 1 ? history::ControlType::other
                         : marker->type == 1         ? history::ControlType::commit
                                                     : history::ControlType::abort;
      continue;
    }
    const ByteView bytes = record.value.value_or(ByteView{});
    const history::Decoded decoded = history::decode_payload(run_hash_, bytes);
    if (const auto* value = std::get_if<history::PayloadValue>(&decoded)) {
      recorder_.audit(now, process_, object, record.offset, value->id, epoch);
    } else {
      const auto& foreign = std::get<history::PayloadForeign>(decoded);
      recorder_.audit_foreign(now, process_, object, record.offset, foreign.describe(bytes), epoch);
    }
    ++report_.records;
  }
  if (!reader) recorder_.note(fmt::format("audit of {}: {}", chunk.tp.to_string(), reader.error().text));
  recorder_.audit_batch(evidence);
  ++report_.batches;
}

void Auditor::take(const client::Fetched& chunk) {
  const std::uint16_t object = object_of_.at(chunk.tp);
  Drain& drain = drains_[object];
  auto batches = client::unpack(chunk);
  if (!batches) {
    drain.trouble = batches.error().text;
    return;
  }
  for (const client::UnpackedBatch& batch : *batches) take_batch(object, chunk, batch);
  drain.position = std::max(drain.position, chunk.next);
}

void Auditor::finish(std::uint16_t object, Drain& drain) {
  if (drain.proven) ++report_.proven;
  history::ErrorDetail why;
  why.class_name = drain.started ? "DRAIN_INCOMPLETE" : "DRAIN_NOT_STARTED";
  why.text = fmt::format("reached {} of {}: {}", drain.position, drain.end,
                         drain.trouble.empty() ? "no error met" : drain.trouble);
  recorder_.audit_end(env_.scheduler.now(), process_, object, drain.position, drain.proven,
                      drain.proven ? nullptr : &why);
}

Task<AuditReport> Auditor::run(OnProgress on_progress) {
  const Instant deadline =
      env_.scheduler.now() + std::chrono::milliseconds(static_cast<std::int64_t>(config_.audit_budget_s * 1000));
  for (std::size_t i = 0; i < objects_.size(); ++i) co_await find_start(static_cast<std::uint16_t>(i), deadline);
  std::size_t open = objects_.size();
  while (open > 0 && env_.scheduler.now() < deadline) {
    client::Polled polled = co_await consumer_.poll(std::min(deadline, env_.scheduler.now() + 100ms));
    for (const client::Fetched& chunk : polled.chunks) take(chunk);
    for (const client::ConsumerEvent& event : polled.events) {
      drains_[object_of_.at(event.tp)].trouble = event.text;
      if (event.kind == client::ConsumerEvent::Kind::error) continue;
      recorder_.note(fmt::format("audit of {}: position {} went to {}: {}", event.tp.to_string(), event.position,
                                 event.offset, event.text));
      drains_[object_of_.at(event.tp)].position = event.offset;
    }
    for (std::size_t i = 0; i < objects_.size(); ++i) {
      Drain& drain = drains_[i];
      if (!drain.started || drain.proven || (drain.end != kNoOffset && drain.position < drain.end)) continue;
      co_await ask_end(static_cast<std::uint16_t>(i), deadline);
      if (!drain.proven) continue;
      consumer_.unassign(objects_[i]);
      --open;
    }
    if (on_progress) on_progress(report_);
  }
  for (std::size_t i = 0; i < objects_.size(); ++i) finish(static_cast<std::uint16_t>(i), drains_[i]);
  cluster_.close();
  co_await consumer_.close();
  co_return report_;
}

}  // namespace ordeal::workload
