#include "broker/server/fetch_session.h"

#include <limits>
#include <tuple>
#include <utility>

#include "broker/base/check.h"
#include "broker/base/mark.h"

namespace ordeal::server {
namespace {

using wire::ErrorCode;
using Answer = wire::FetchResponse::PartitionData;

constexpr std::int16_t kSessionsSince = 7;
constexpr std::int16_t kTopicIdsSince = 13;
constexpr std::int32_t kNoSession = 0;
constexpr std::int32_t kInitialEpoch = 0;
constexpr std::int32_t kFinalEpoch = -1;

std::int32_t next_epoch(std::int32_t epoch) {
  return epoch == std::numeric_limits<std::int32_t>::max() ? 1 : epoch + 1;
}

bool has_records(const Answer& answer) { return answer.records && !answer.records->view.empty(); }

std::vector<FetchSessions::Wanted> flatten(const wire::FetchRequest& request) {
  std::vector<FetchSessions::Wanted> all;
  for (const auto& topic : request.topics) {
    for (const auto& part : topic.partitions) all.push_back({topic.topic, topic.topic_id, part});
  }
  return all;
}

}  // namespace

FetchSessions::Plan FetchSessions::begin(const wire::FetchRequest& request, std::int16_t version, bool privileged,
                                         Instant now) {
  Plan plan;
  plan.privileged = privileged;
  plan.by_id = version >= kTopicIdsSince;
  if (version < kSessionsSince) {
    plan.partitions = flatten(request);
    return plan;
  }
  const bool full = request.session_epoch == kInitialEpoch || request.session_epoch == kFinalEpoch;
  return full ? begin_full(request, std::move(plan)) : begin_incremental(request, std::move(plan), now);
}

FetchSessions::Plan FetchSessions::begin_full(const wire::FetchRequest& request, Plan plan) {
  if (request.session_id != kNoSession && find(request.session_id, plan.privileged) != nullptr) {
    ORDEAL_MARK("fetch_session.closed_by_client");
    sessions_.erase(request.session_id);
  }
  plan.opens = request.session_epoch == kInitialEpoch;
  plan.partitions = flatten(request);
  return plan;
}

FetchSessions::Plan FetchSessions::begin_incremental(const wire::FetchRequest& request, Plan plan, Instant now) {
  Session* session = find(request.session_id, plan.privileged);
  if (session == nullptr) {
    ORDEAL_MARK("fetch_session.not_found");
    plan.error = ErrorCode::fetch_session_id_not_found;
    return plan;
  }
  if (session->epoch != request.session_epoch) {
    ORDEAL_MARK("fetch_session.wrong_epoch");
    plan.error = ErrorCode::invalid_fetch_session_epoch;
    return plan;
  }
  if (session->by_id != plan.by_id) {
    ORDEAL_MARK("fetch_session.topic_ids_changed");
    plan.error = ErrorCode::fetch_session_topic_id_error;
    return plan;
  }
  for (Wanted& wanted : flatten(request)) put(*session, std::move(wanted));
  for (const auto& topic : request.forgotten_topics_data) forget(*session, topic);
  plan.incremental = true;
  if (session->by_turn.empty()) {
    ORDEAL_MARK("fetch_session.emptied");
    sessions_.erase(request.session_id);
    return plan;
  }
  session->last_used = now;
  session->epoch = next_epoch(session->epoch);
  plan.session_id = request.session_id;
  plan.next_epoch = session->epoch;
  plan.partitions.reserve(session->by_turn.size());
  for (const auto& [turn, entry] : session->by_turn) plan.partitions.push_back(entry.wanted);
  return plan;
}

wire::FetchResponse FetchSessions::finish(const Plan& plan, std::vector<Answer> answers, Instant now,
                                          std::uint64_t drawn) {
  ORDEAL_CHECK(plan.error == ErrorCode::none && answers.size() == plan.partitions.size());
  wire::FetchResponse response;
  if (plan.opens) open(plan, answers, now, drawn, response);
  if (!plan.incremental) {
    for (std::size_t i = 0; i < answers.size(); ++i) add(response, plan.partitions[i], std::move(answers[i]));
    return response;
  }
  if (plan.session_id == kNoSession) return response;  // the request emptied its session
  Session* session = find(plan.session_id, plan.privileged);
  if (session == nullptr || session->epoch != plan.next_epoch) {
    ORDEAL_MARK("fetch_session.overtaken");
    response.error_code =
        session == nullptr ? ErrorCode::fetch_session_id_not_found : ErrorCode::invalid_fetch_session_epoch;
    return response;
  }
  response.session_id = plan.session_id;
  for (std::size_t i = 0; i < answers.size(); ++i) {
    const auto turn = session->turns.find(key_of(plan.partitions[i]));
    ORDEAL_CHECK(turn != session->turns.end(), "a session in epoch {} lost a partition meanwhile", plan.next_epoch);
    const auto entry = session->by_turn.find(turn->second);
    if (!note(entry->second, answers[i])) continue;
    if (has_records(answers[i])) {
      auto node = session->by_turn.extract(entry);
      node.key() = turn->second = session->next_turn++;
      session->by_turn.insert(std::move(node));
    }
    add(response, plan.partitions[i], std::move(answers[i]));
  }
  return response;
}

// Remembers what the other side knows once it has this answer; false: it knows all of it.
bool FetchSessions::note(Entry& entry, const Answer& answer) {
  bool news = has_records(answer) || answer.diverging_epoch.epoch != kNoEpoch || answer.preferred_read_replica != -1;
  if (answer.error_code != ErrorCode::none) {
    entry.told_high_watermark = kNoOffset;
    return true;
  }
  news = news || answer.high_watermark != entry.told_high_watermark || answer.log_start_offset != entry.told_log_start;
  entry.told_high_watermark = answer.high_watermark;
  entry.told_log_start = answer.log_start_offset;
  return news;
}

void FetchSessions::open(const Plan& plan, const std::vector<Answer>& answers, Instant now, std::uint64_t drawn,
                         wire::FetchResponse& response) {
  if (plan.partitions.empty() || !make_room(plan.privileged, plan.partitions.size(), now)) return;
  constexpr std::uint64_t kIds = std::numeric_limits<std::int32_t>::max();
  auto id = static_cast<std::int32_t>(1 + drawn % kIds);
  while (sessions_.contains(id)) id = next_epoch(id);
  Session& session = sessions_[id];
  session.privileged = plan.privileged;
  session.by_id = plan.by_id;
  session.created = session.last_used = now;
  for (std::size_t i = 0; i < answers.size(); ++i) {
    put(session, plan.partitions[i]);
    note(session.by_turn.at(session.turns.at(key_of(plan.partitions[i]))), answers[i]);
  }
  response.session_id = id;
}

bool FetchSessions::make_room(bool privileged, std::size_t partitions, Instant now) {
  if (sessions_.size() < limits_.slots) return true;
  auto idlest = sessions_.end();
  auto victim = sessions_.end();
  const auto worth = [](const Session& session) { return std::tuple(session.privileged, session.by_turn.size()); };
  for (auto it = sessions_.begin(); it != sessions_.end(); ++it) {
    const Session& session = it->second;
    if (idlest == sessions_.end() || session.last_used < idlest->second.last_used) idlest = it;
    const bool outranked = privileged && !session.privileged;
    if (!outranked && now - session.created <= limits_.min_age) continue;
    if (victim == sessions_.end() || worth(session) < worth(victim->second)) victim = it;
  }
  if (idlest != sessions_.end() && now - idlest->second.last_used > limits_.min_age) {
    ORDEAL_MARK("fetch_session.evicted_idle");
    sessions_.erase(idlest);
    return true;
  }
  if (victim != sessions_.end() && worth(victim->second) < std::tuple(privileged, partitions)) {
    ORDEAL_MARK("fetch_session.evicted_smaller");
    sessions_.erase(victim);
    return true;
  }
  ORDEAL_MARK("fetch_session.no_slot");
  return false;
}

FetchSessions::Session* FetchSessions::find(std::int32_t id, bool privileged) {
  const auto found = sessions_.find(id);
  return found != sessions_.end() && found->second.privileged == privileged ? &found->second : nullptr;
}

void FetchSessions::put(Session& session, Wanted wanted) {
  const auto [turn, added] = session.turns.try_emplace(key_of(wanted), session.next_turn);
  if (added) ++session.next_turn;
  session.by_turn[turn->second].wanted = std::move(wanted);  // what was told before stays known
}

void FetchSessions::forget(Session& session, const wire::FetchRequest::ForgottenTopic& topic) {
  for (const PartitionId partition : topic.partitions) {
    const auto turn = session.turns.find(Key{topic.topic, topic.topic_id, partition});
    if (turn == session.turns.end()) continue;
    session.by_turn.erase(turn->second);
    session.turns.erase(turn);
  }
}

void FetchSessions::add(wire::FetchResponse& response, const Wanted& wanted, Answer answer) {
  auto& topics = response.responses;
  if (topics.empty() || topics.back().topic != wanted.topic || topics.back().topic_id != wanted.topic_id) {
    topics.emplace_back();
    topics.back().topic = wanted.topic;
    topics.back().topic_id = wanted.topic_id;
  }
  topics.back().partitions.push_back(std::move(answer));
}

}  // namespace ordeal::server
